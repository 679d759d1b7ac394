"""What a subject may use up while it is measured: memory, and the size of a file.

The limits keep the machine usable. They count for each process that the subject starts by itself, not for all of them
together.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path

_FILE = 16 << 30
"""Bytes of a file: more than any part of the weights that models are published in."""
_GROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container says what memory it has."""


def limit(folder: str) -> None:
    """Bound this process from here on; `folder` is on the disk that it may fill by half with one file."""
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, min(_FILE, shutil.disk_usage(folder).free // 2))
    # What is reserved but cannot be written, as graphics drivers do by the terabyte, does not count.
    _bound(resource.RLIMIT_DATA, min(_in_use() + _memory(), sys.maxsize))
    with contextlib.suppress(OSError):  # if memory runs out nevertheless, nobody else has to go
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _bound(what: int, most: int) -> None:
    soft, hard = resource.getrlimit(what)
    known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (min([most, *known]), hard))


def _in_use() -> int:
    """Return the bytes that this process can write already: most of them torch's, and shared with the worker."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _memory() -> int:
    """Return the bytes of memory of this machine, or of this container."""
    most = sys.maxsize
    with contextlib.suppress(OSError, ValueError):  # not every system tells
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in _GROUP:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            most = min(most, int(Path(file).read_text(encoding="ascii")))
    return most
