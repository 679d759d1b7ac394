"""Return memory that a process no longer needs: freed blocks, and library code that ran once."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

_DONT_NEED = 4
"""MADV_DONTNEED of madvise(2): drop pages of a process. Pages of a file are read again when they are used."""
_MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?:(?P<file>r-[-x]p \S+ \S+ \S+ +/)|[-rwxsp]{4} )")
"""A line that begins a mapping in `/proc/self/smaps`; `file` matches if it maps a file read-only."""


class _Process:
    """What is known of this process, and of the children that it forks."""

    only_measures = False


def freeze() -> None:
    """Keep the collector from all objects that exist, in a process that only measures: they are never garbage."""
    gc.freeze()
    _Process.only_measures = True  # `gc.get_freeze_count` would count them one by one


def give_back() -> None:
    """Collect garbage in a process that only measures. If the C library is glibc, return freed memory to the system.

    glibc keeps freed blocks for later use. The stages of a measurement allocate differently, so that the blocks of one
    stage would stay beside those of the next. A process that only measures has frozen what it imported (`server`).
    In any other, such as a notebook, the collector would look at every object of torch and of the user, which takes
    longer than measuring most networks.
    """
    if not _Process.only_measures:
        return
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def drop_library_code() -> None:
    """Drop the code of libraries from this process, on Linux. Code that is still used is read again from its file.

    Importing torch runs a part of each of its libraries, which are hundreds of megabytes with those for graphics cards.
    Only pages that are unchanged from their file are dropped, because relocated ones are in no file.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        advise = ctypes.CDLL(None).madvise
        for start, end in _as_in_their_files():
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)


def _as_in_their_files() -> Iterator[tuple[int, int]]:
    """Yield the start and end of read-only file mappings in which this process has changed no page."""
    place: tuple[int, int] | None = None
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _MAPPING.match(line):
            place = (int(match["start"], 16), int(match["end"], 16)) if match["file"] else None
        elif place and line.startswith("Anonymous:") and line.split()[1] == "0":
            yield place
