"""Stop what a file may not do while it is imported: write, connect, start processes, or run for too long."""

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
"""The subject's code may wait this many times as long as it may compute, while it is imported."""
_TICK = 0.25
"""Seconds between two samples of the running code, at most."""
_LEAST_TICK = 0.001
"""Seconds between two samples, at least: with less, sampling takes all the time."""
_IDLE = 0.02
"""The share of CPU time between two samples below which the code waited. Code that computes has more, even on a busy
machine."""

_CHANGES = {
    "os.mkdir": "makes the folder",
    "os.remove": "removes",
    "os.rename": "renames",
    "os.rmdir": "removes the folder",
    "os.truncate": "truncates",
    "os.link": "links",
    "os.symlink": "links",
    "shutil.rmtree": "removes the folder",
}
"""Audit events of a change -> what the code does."""
_CONNECTS = "connects to the network"
CONNECTS = frozenset({"socket.connect", "socket.getaddrinfo"})
STARTS = frozenset({"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn"})


class Refused(BaseException):
    """A file tried to do something that it may not do while it is imported. `connects` tells that it was to connect."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.connects = what == _CONNECTS


class TooLong(BaseException):
    """The subject's own code computed or waited for too long while it was imported."""


_state = {"installed": False, "watching": 0}


@contextmanager
def harmless() -> Iterator[None]:
    """Refuse side effects of the subject's own code until the end of the block.

    Installed packages may have side effects while they are imported, such as writing a font cache.
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
    """Return the side effect of an event, `None` if it has none."""
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & WRITES and not isinstance(path, int)
        return f"writes `{_name(path)}`" if writes and not _name(path).startswith("/dev/") else None
    if event in _CHANGES:
        known = event == "os.mkdir" and os.path.isdir(arguments[0])  # noqa: PTH112 - then mkdir fails without effect
        return None if known else f"{_CHANGES[event]} `{_name(arguments[0])}`"
    if event in CONNECTS:
        return _CONNECTS
    return "starts a process" if event in STARTS else None


def _name(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        return str(path)


class Clock:
    """Measures how long the subject's own code has computed and waited, by sampling what runs at every tick.

    The import of installed packages does not count. What they do when the subject calls them counts.
    """

    def __init__(self, seconds: float, end: Callable[[FrameType, str], None]) -> None:
        self.seconds = seconds
        self.tick = max(_LEAST_TICK, min(_TICK, seconds / 8))
        self._end = end
        self._last = time.thread_time(), time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Count from 0 again."""
        self._computed = self._waited = 0.0

    def look(self, number: int, frame: FrameType | None) -> None:
        """Add the time since the last sample to the code that runs now. If it is too long, end the code each time."""
        before, self._last = self._last, (time.thread_time(), time.monotonic())
        computed, passed = (now - then for now, then in zip(self._last, before, strict=True))
        if frame is None or not by_subject(frame):
            return
        self._computed += computed
        if computed < _IDLE * passed:
            self._waited += min(passed, 2 * self.tick)  # `passed` is longer if the process was stopped
        if self._computed > self.seconds:
            self._end(frame, f"its own code takes more than {self.seconds:g} s of CPU time to import")
        if self._waited > WAITS * self.seconds:
            self._end(frame, f"its own code waits for more than {WAITS * self.seconds:g} s when it is imported")


@contextmanager
def limited(clock: Clock) -> Iterator[None]:
    """Let a clock sample the running code, in the main thread and if no other code has set an alarm."""
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
