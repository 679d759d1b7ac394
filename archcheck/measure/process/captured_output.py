"""Forward what a subject prints to standard error, up to a limit."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Container, Iterable

from archcheck.foundation.regular_files import write_all

_MOST = 1 << 20
"""Bytes of one subject's output that are forwarded."""
_PIECE = 4096
"""Bytes that a pipe that accepts anything takes without blocking (`PIPE_BUF` of Linux)."""
_LEFT_OUT = b"\narchcheck: the subject printed more than 1 MB; the rest is left out\n"


class OutputPipe:
    """A pipe between a child that prints and its parent. An `endless` one has no limit: a trainer prints for hours."""

    def __init__(self, *, endless: bool) -> None:
        self._left = float("inf") if endless else _MOST
        self._read_end, self._write_end = os.pipe()
        self._open = True

    def redirect(self) -> None:
        """In the child: send standard output and standard error into the pipe."""
        for descriptor in (1, 2):
            os.dup2(self._write_end, descriptor)
        os.close(self._write_end)
        os.close(self._read_end)

    def close_write_end(self) -> None:
        """In the parent: close the end that the child writes to."""
        os.close(self._write_end)

    def readable_ends(self) -> Iterable[int]:
        """Return the descriptors to wait for: none while standard error is blocked, so that the child blocks, too."""
        return [self._read_end] if self._open and (self._left <= 0 or _writable()) else []

    def forward(self, ready: Container[int]) -> None:
        """Forward what has arrived, if the pipe is among the `ready` descriptors."""
        if self._read_end not in ready:
            return
        said = os.read(self._read_end, _PIECE if self._left > 0 else 1 << 20)
        self._open = bool(said)
        if self._left <= 0 or not said:
            return
        self._left -= len(said)
        _write(said)
        if self._left <= 0:
            _write(_LEFT_OUT)

    def close(self) -> None:
        """Forward the rest, after the other end was closed, and close the pipe."""
        while ends := self.readable_ends():
            ready, _, _ = select.select(ends, [], [], 0)
            if not ready:
                break
            self.forward(ready)
        os.close(self._read_end)


def _writable() -> bool:
    return bool(select.select([], [2], [], 0)[1])


def _write(said: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it, or the reader cannot be waited for
        write_all(2, said)
