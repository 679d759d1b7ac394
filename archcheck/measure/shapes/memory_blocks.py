"""Blocks of memory, and the bytes of those that live at the same time."""

from __future__ import annotations

from typing import Any


class MemoryUse:
    """The memory that a forward pass takes: `live` bytes now, `peak` bytes at most."""

    __slots__ = ("live", "peak")

    def __init__(self) -> None:
        self.live = 0
        self.peak = 0

    def new(self, nbytes: int) -> Block:
        """Return a fresh block, counted while it lives."""
        self.live += nbytes
        if self.live > self.peak:
            self.peak = self.live
        return Block(nbytes, account=self)


class Block:
    """A block of memory; all views of a tensor share one.

    `written` is the event that last wrote to it, -1 for none; `stale` says that a real tensor in it no longer has the
    values it should. `account` counts the block while it lives, if it is not `None`.
    """

    __slots__ = ("account", "keeps", "nbytes", "stale", "written")

    def __init__(self, nbytes: int, *, account: MemoryUse | None = None, keeps: Any = None) -> None:
        self.account = account
        self.nbytes = nbytes
        self.keeps = keeps
        self.written = -1
        self.stale = False

    def __del__(self) -> None:
        """Stop counting the block: its last tensor is gone."""
        account = getattr(self, "account", None)  # an unfinished copy has none
        if account is not None:
            account.live -= self.nbytes
