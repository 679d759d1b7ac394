"""JSON documents that somebody changed, and files that are damaged: what every reader of JSON has to bear."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 7, 2**31, 10**12, 10**30, 10**99, 0.5, 1e308, "", "a", "\ud800", "\x00", "\x1b[2J",
    "x\n::error::", "\u202e", "inf", [], {}, [0], [[]], [{}], {"": None}, {"a": 1},
)  # fmt: skip
"""What may stand where anything else should."""
REFUSED: tuple[Any, ...] = (float("nan"), float("inf"), -float("inf"), 10**400)
"""Numbers that no document may hold."""

DAMAGE = {
    "nothing": lambda content: b"",
    "half of it": lambda content: content[: len(content) // 2],
    "all but the last brace": lambda content: content.rstrip()[:-1],
    "twice": lambda content: content + content,
    "binary": lambda content: b"\x89PNG\r\n\x1a\n" + content,
    "a byte that is no text": lambda content: content[:20] + b"\xff" + content[20:],
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "ten megabytes of brackets": lambda content: b"[" * 10_000_000,
    "ten megabytes of tables": lambda content: b'{"a":' * 2_000_000,
    "a list that is nested deeply": lambda content: b"[" * 500 + b"]" * 500,
    "a huge integer": lambda content: b"9" * 5_000,
    "an integer beyond floats": lambda content: b"9" * 400,
    "a number beyond floats": lambda content: b"1e999",
    "no number": lambda content: b"NaN",
    "a list": lambda content: b"[]",
    "null": lambda content: b"null",
}
"""From the content of a good file to that of one that cannot be read."""


def nested(depth: int) -> Any:
    """Return a list in a list, and so on."""
    return [nested(depth - 1)] if depth else 0


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container of a document with each of its keys."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in pairs for place in [(value, key), *places(inner)]]


def changed(data: st.DataObject, document: Any, *, most: int = 3) -> Any:
    """Return a copy of a document with some values replaced, dropped, doubled or under another key."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, most))):
        if document:
            _change(data, *_place(data, document))
    return document


def _place(data: st.DataObject, container: Any) -> tuple[Any, Any]:
    """Return a container and a key of it, step by step from the outside, so that what is rare there is met as well."""
    keys = list(container) if isinstance(container, dict) else range(len(container))
    key = keys[data.draw(st.integers(0, len(keys) - 1))]
    inner = container[key]
    deeper = isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 3))
    return _place(data, inner) if deeper else (container, key)


def _change(data: st.DataObject, container: Any, key: Any) -> None:
    how = data.draw(st.sampled_from(["replace", "nest", "drop", "double", "rename"]))
    if how == "replace":
        container[key] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
    elif how == "nest":
        container[key] = nested(data.draw(st.sampled_from([1, 50, 150, 450])))
    elif how == "drop":
        del container[key]
    elif isinstance(container, list):
        container.insert(key, copy.deepcopy(container[key]))
    elif how == "double":
        container[f"{key} "] = copy.deepcopy(container[key])
    else:
        container[data.draw(st.sampled_from(["", "\ud800", "a b", "é\n", str(key).upper()]))] = container.pop(key)


def written(document: Any) -> bytes:
    """Return a document as a file holds it."""
    return json.dumps(document).encode()


def is_one_line(message: str, *names: str) -> bool:
    """Whether a message is one line that people can read, of bounded length, with these names in it."""
    return message.isprintable() and 0 < len(message) < 700 and all(name in message for name in names)
