"""Limit the memory and the file size of a subject while it is measured.

The limits keep the machine usable. They apply to each process that the subject starts, not to all of them together.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path

_FILE = 16 << 30
"""Bytes of a file: more than the largest part of published weights."""
_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container states its memory limit."""


def limit(folder: str) -> None:
    """Limit this process from now on. One file may fill at most half of what is free on the disk of `folder`."""
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, min(_FILE, shutil.disk_usage(folder).free // 2))
    # RLIMIT_DATA does not count memory that is reserved but not writable: graphics drivers reserve terabytes.
    _bound(resource.RLIMIT_DATA, min(_in_use() + _memory(), sys.maxsize))
    with contextlib.suppress(OSError):  # if memory still runs out, the kernel kills this process first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _bound(what: int, most: int) -> None:
    soft, hard = resource.getrlimit(what)
    known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (min([most, *known]), hard))


def _in_use() -> int:
    """Return the writable bytes that this process has already. Most are torch's and shared with the worker."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _memory() -> int:
    """Return the bytes of memory of this machine, or of this container."""
    most = sys.maxsize
    with contextlib.suppress(OSError, ValueError):  # not every system states it
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _GROUP:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            most = min(most, int(Path(file).read_text(encoding="ascii")))
    return most
