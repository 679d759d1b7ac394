"""What a file may not do while it is imported to be looked at: write, connect, start processes, or go on for long."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from archcheck.measure.subject.ownership import WRITES, by_subject

SHORT = 10.0
"""Seconds that the files of a subject may run while they are imported."""
LONG = 60.0
"""Seconds for the definitions alone: packages that take long to import are imported then, too."""

_CHANGES = frozenset(
    {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}
)
_CONNECTS = frozenset({"socket.connect", "socket.getaddrinfo"})
_STARTS = frozenset({"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn"})


class Refused(BaseException):
    """A file was to do something that importing it to look at it must not."""


class TooLong(BaseException):
    """A file ran for longer than importing it may take."""


_state = {"installed": False, "watching": 0}


@contextmanager
def harmless() -> Iterator[None]:
    """Refuse what leaves traces, for as long as this lasts, where the subject's own code does it.

    Packages that are installed may do so while they are imported: a cache of fonts is their own affair.
    """
    if not _state["installed"]:
        sys.addaudithook(_hear)
        _state["installed"] = True
    _state["watching"] += 1
    try:
        yield
    finally:
        _state["watching"] -= 1


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _state["watching"]:
        return
    what = _trace(event, arguments)
    if what and by_subject(sys._getframe(1)):
        raise Refused(what)


def _trace(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what an event leaves behind, if anything."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & WRITES and not isinstance(path, int)
        return f"writes `{_name(path)}`" if writes and not _name(path).startswith("/dev/") else None
    if event in _CHANGES:
        known = event == "os.mkdir" and os.path.isdir(arguments[0])  # noqa: PTH112 - it fails by itself
        return None if known else f"{event.partition('.')[2]}s `{_name(arguments[0])}`"
    if event in _CONNECTS:
        return "connects to the network"
    return "starts a process" if event in _STARTS else None


def _name(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        return str(path)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TooLong` after so many seconds, and again and again, as code that catches everything goes on.

    Only the main thread can be interrupted that way, and only where nothing else has set an alarm.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"ran for more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
