"""JSON pointers (RFC 6901): the way to a value in a document, such as `/runs/0/loss`.

Where several values may be meant, a step `*` stands for every key and every index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archcheck.foundation.words import quote

Path = tuple[str, ...]
"""The keys and indices that lead to a value."""


def pointer_of(path: Path) -> str:
    """Return the JSON pointer of a path of keys.

    >>> pointer_of(("a/b", "0"))
    '/a~1b/0'
    """
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)


def steps_of(pointer: str) -> Path:
    """Return the keys and indices that a JSON pointer names."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def check_pointer(pointer: str, name: str = "pointer") -> None:
    """Raise `ValueError` unless this is a JSON pointer; `name` is the key of the contract that holds it."""
    if pointer and not pointer.startswith("/"):
        raise ValueError(f'`{name}` is a JSON pointer, such as "/params", found {quote(pointer)}')
    if re.search(r"~(?![01])", pointer):
        raise ValueError(f"`{name}` writes a `~` in a key as `~0` and a `/` as `~1`, found {quote(pointer)}")


def is_below(path: Path, steps: Path) -> bool:
    """Whether a path is that of the `steps` of a pointer, or leads further."""
    return len(path) >= len(steps) and all(step in ("*", key) for step, key in zip(steps, path, strict=False))


def value_at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer without `*` leads to in plain values, or `None`."""
    for key in steps_of(pointer):
        if isinstance(document, Mapping):
            document = document.get(key)
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document
