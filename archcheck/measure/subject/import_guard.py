"""Stops what a file may not do while it is imported: write, connect, start processes, or run for long."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from archcheck.measure.subject.ownership import WRITES, by_subject

WAITS = 3
"""How many times as long as it may compute the subject's code may wait, while it is imported."""
_TICK = 0.25
"""Seconds between two looks at what runs, at most."""
_LEAST_TICK = 0.001
"""Seconds between two looks, at least: with less, the process does nothing but look."""
_IDLE = 0.02
"""The share of the time between two looks below which the code waited: on a busy machine, it computes for more."""

_CHANGES = frozenset(
    {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}
)
CONNECTS = frozenset({"socket.connect", "socket.getaddrinfo"})
STARTS = frozenset({"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn"})


class Refused(BaseException):
    """A file was to do something that importing it to look at it must not."""


class TooLong(BaseException):
    """The subject's own code computed, or waited, for longer than importing it may take."""


_state = {"installed": False, "watching": 0}


@contextmanager
def harmless() -> Iterator[None]:
    """Refuse what leaves traces, for as long as this lasts, where the subject's own code does it.

    Packages that are installed may do so while they are imported: a cache of fonts is their own affair.
    """
    if not _state["installed"]:
        sys.addaudithook(_on_event)
        _state["installed"] = True
    _state["watching"] += 1
    try:
        yield
    finally:
        _state["watching"] -= 1


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
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
    if event in CONNECTS:
        return "connects to the network"
    return "starts a process" if event in STARTS else None


def _name(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        return str(path)


class Clock:
    """How long the subject's own code has computed and waited, told by what runs at every tick.

    Installed packages take as long as they take to import. What they do for the subject, as it calls them, is its own.
    """

    def __init__(self, seconds: float, end: Callable[[FrameType, str], None]) -> None:
        self.seconds = seconds
        self.tick = max(_LEAST_TICK, min(_TICK, seconds / 8))
        self._end = end
        self._last = time.thread_time(), time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Count from 0 on."""
        self._computed = self._waited = 0.0

    def look(self, number: int, frame: FrameType | None) -> None:
        """Count the time since the last look for what runs now; end it, again and again, when it is too long."""
        before, self._last = self._last, (time.thread_time(), time.monotonic())
        computed, passed = (now - then for now, then in zip(self._last, before, strict=True))
        if frame is None or not by_subject(frame):
            return
        self._computed += computed
        if computed < _IDLE * passed:
            self._waited += min(passed, 2 * self.tick)  # longer if it was this process that was stopped
        if self._computed > self.seconds:
            self._end(frame, f"its own code takes more than {self.seconds:g} s of CPU time to import")
        if self._waited > WAITS * self.seconds:
            self._end(frame, f"its own code waits for more than {WAITS * self.seconds:g} s when it is imported")


@contextmanager
def limited(clock: Clock) -> Iterator[None]:
    """Let a clock look at what runs.

    Only the main thread can be interrupted that way, and only where nothing else has set an alarm.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    before = signal.signal(signal.SIGALRM, clock.look)
    signal.setitimer(signal.ITIMER_REAL, clock.tick, clock.tick)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
