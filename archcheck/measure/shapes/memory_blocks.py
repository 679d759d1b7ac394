"""Pieces of memory, and the account of those that live at the same time."""

from __future__ import annotations

from typing import Any


class Account:
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
    """A piece of memory: all tensors that are views of one another share one.

    `written` is the event that last wrote to it, -1 for none; `stale` says that a real tensor in it no longer has
    the values it should. `account` is where the block is counted while it lives, if anywhere.
    """

    __slots__ = ("account", "keeps", "nbytes", "stale", "written")

    def __init__(self, nbytes: int, *, account: Account | None = None, keeps: Any = None) -> None:
        self.account = account
        self.nbytes = nbytes
        self.keeps = keeps
        self.written = -1
        self.stale = False

    def __del__(self) -> None:
        """Take the block off its account: the last tensor in it is gone."""
        account = getattr(self, "account", None)  # the copy of a block may be dropped half made
        if account is not None:
            account.live -= self.nbytes
