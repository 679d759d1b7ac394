"""How many examples the readers of files are given, and how much memory they have for each test.

`ARCHCHECK_FUZZ_EXAMPLES=3000 python -m pytest tests -k fuzz` gives every reader as many.
"""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOM = 2 << 30
"""Bytes by which a process may grow in a test: files of some ten thousand bytes are read in it."""


def examples(usual: int) -> int:
    """Return how many examples a test tries: `usual`, or what the environment asks for."""
    return int(os.environ.get("ARCHCHECK_FUZZ_EXAMPLES") or usual)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Keep this process from taking all memory of the machine, where a process can be held to that."""
    if sys.platform != "linux":
        yield
        return
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
