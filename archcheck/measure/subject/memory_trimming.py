"""Returns memory that a process no longer needs: freed blocks, and the code of libraries that ran once."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

_DONT_NEED = 4
"""The advice of madvise(2) to take pages out of a process; those of a file come back when they are touched."""
_MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?:(?P<file>r-[-x]p \S+ \S+ \S+ +/)|[-rwxsp]{4} )")
"""A line that begins a mapping in `/proc/self/smaps`; `file` where it is one that can only be read."""


def give_back() -> None:
    """Return to the system what nothing uses any more, where the C library is glibc; else collect garbage alone.

    glibc keeps freed blocks to hand them out again. Measuring goes through stages that have little in common, so the
    blocks of one would stay beside those of the next.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def drop_library_code() -> None:
    """Take the code of libraries out of this process, on Linux; what is still used is read again from their files.

    To import torch runs a bit of every library that it comes with, by the hundred megabytes with those for graphics
    cards. Only pages that are as in their file are taken: relocated ones exist nowhere else.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        advise = ctypes.CDLL(None).madvise
        for start, end in _as_in_their_files():
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)


def _as_in_their_files() -> Iterator[tuple[int, int]]:
    """Yield where this process has mapped files that it can only read, and has no page of its own."""
    place: tuple[int, int] | None = None
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _MAPPING.match(line):
            place = (int(match["start"], 16), int(match["end"], 16)) if match["file"] else None
        elif place and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield place
