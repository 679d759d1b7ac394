"""Iterators as inputs: replaces them, so that every pass reads them from the beginning."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from operator import is_
from types import GeneratorType
from typing import Any

from archcheck.foundation.errors import SubjectError

_MOST = 10_000
"""Items beyond which an iterator counts as infinite."""


class Replay(Iterator[Any]):
    """An iterator over stored items; the copy of an unread one begins with the first."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.place = 0

    def __next__(self) -> Any:
        """Return the next item."""
        if self.place >= len(self.items):
            raise StopIteration
        self.place += 1
        return self.items[self.place - 1]


def replayed(value: Any) -> Any:
    """Return an input with a `Replay` for each generator and each built-in iterator in it.

    Raises:
        SubjectError: one of them is infinite.
    """
    if _is_read_once(value):
        items = list(islice(value, _MOST + 1))
        if len(items) > _MOST:
            raise SubjectError("input", f"a {type(value).__name__} yields more than {_MOST:,} items; give a list")
        return Replay(replayed(items))
    if type(value) in (list, tuple):
        found = [replayed(each) for each in value]
        return value if all(map(is_, found, value)) else type(value)(found)
    if type(value) is dict:
        return {key: replayed(each) for key, each in value.items()}
    return value


def _is_read_once(value: Any) -> bool:
    builtin = type(value).__module__ in ("builtins", "itertools") and isinstance(value, Iterator)
    return isinstance(value, GeneratorType) or builtin
