"""Passes what a subject prints on to standard error, up to a limit."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Container, Iterable

from archcheck.foundation.regular_files import write_all

_MOST = 1 << 20
"""Bytes that are passed on of what one subject prints."""
_PIECE = 4096
"""Bytes that a pipe takes without making anybody wait, once it takes any (`PIPE_BUF` of Linux)."""
_LEFT_OUT = b"\narchcheck: the subject printed more than 1 MB; the rest is left out\n"


class Prints:
    """A pipe between a child that prints and its parent; `endless` are those of a trainer, which runs for hours."""

    def __init__(self, *, endless: bool) -> None:
        self._left = float("inf") if endless else _MOST
        self._ear, self._mouth = os.pipe()
        self._open = True

    def speak(self) -> None:
        """In the child: print into the pipe."""
        for descriptor in (1, 2):
            os.dup2(self._mouth, descriptor)
        os.close(self._mouth)
        os.close(self._ear)

    def listen(self) -> None:
        """In the parent: leave the other end to the child."""
        os.close(self._mouth)

    def heard(self) -> Iterable[int]:
        """Return what to wait for: nothing while standard error takes nothing, so that the child waits as well."""
        return [self._ear] if self._open and (self._left <= 0 or _writable()) else []

    def pass_on(self, ready: Container[int]) -> None:
        """Write on what has arrived, if any has."""
        if self._ear not in ready:
            return
        said = os.read(self._ear, _PIECE if self._left > 0 else 1 << 20)
        self._open = bool(said)
        if self._left <= 0 or not said:
            return
        self._left -= len(said)
        _write(said)
        if self._left <= 0:
            _write(_LEFT_OUT)

    def close(self) -> None:
        """Pass on what is left in the pipe, whose other end is closed."""
        while heard := self.heard():
            ready, _, _ = select.select(heard, [], [], 0)
            if not ready:
                break
            self.pass_on(ready)
        os.close(self._ear)


def _writable() -> bool:
    return bool(select.select([], [2], [], 0)[1])


def _write(said: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it, or the reader cannot be waited for
        write_all(2, said)
