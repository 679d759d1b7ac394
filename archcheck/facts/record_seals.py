"""Check the form of a training record, and its seal.

The seal, `digest`, shows that a record was edited after it was written. It is the SHA-256 of the rest of the record as
JSON with sorted keys and without spaces, so that the layout of the file does not matter. It protects against mistakes,
not against fraud: anyone can compute a new digest. Against fraud, the checkpoint is evaluated again, and the training
can be repeated.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

SEAL = "digest"
SCHEMA = 1
"""Version of a record; it changes when a key changes its meaning or goes away."""
OURS = frozenset({"schema", "model", "environment", "runs", "checkpoint", "stopping", SEAL})
"""The keys of a record that are archcheck's own; all others are what the trainer says."""
_WORDS = {dict: "a table", list: "a list", int: "an integer", str: "a string"}


def misshapen(document: Any) -> str | None:
    """Return why a JSON document does not have the form of a record, or `None` if it has.

    A key that is absent or null is allowed; rules report what is missing for a proof.
    """
    whole = isinstance(document, Mapping) and type(document.get("schema")) is int and document["schema"] == SCHEMA
    if not whole or not isinstance(document.get("runs"), list):
        return f"it is not one of schema {SCHEMA} with a list `runs`"
    return next(_misfits(document), None)


def _misfits(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each value of the wrong type, after that of the table that holds it."""
    yield from _unlike(record, "", model=dict, checkpoint=dict)
    yield from _unlike(record.get("checkpoint") or {}, "checkpoint.", sha256=str, seed=int, epoch=int)
    yield from _each_unlike(record["runs"], "runs")
    for number, run in enumerate(record["runs"]):
        within = f"runs[{number}]."
        yield from _unlike(run, within, seed=int, epochs=list, test=dict)
        yield from _unlike(run.get("test") or {}, f"{within}test.", correct=int, total=int)
        yield from _each_unlike(run.get("epochs") or [], f"{within}epochs")


def _each_unlike(items: list[Any], name: str) -> Iterator[str]:
    places = ((f"{name}[{number}]", item) for number, item in enumerate(items))
    yield from (_fault(place, item, dict) for place, item in places if type(item) is not dict)


def _unlike(table: Mapping[str, Any], within: str, **kinds: type) -> Iterator[str]:
    for key, kind in kinds.items():
        value = table.get(key)
        if value is not None and type(value) is not kind:  # to Python, `true` is an integer
            yield _fault(f"{within}{key}", value, kind)


def _fault(place: str, value: Any, kind: type) -> str:
    return f"`{place}` must be {_WORDS[kind]}, found {reprlib.repr(value)}"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `record` with a new digest."""
    return {**{key: value for key, value in record.items() if key != SEAL}, SEAL: digest_of(record)}


def digest_of(record: Mapping[str, Any]) -> str:
    """Return the digest that belongs to `record`.

    >>> digest_of({"b": 1, "a": 2, "digest": "?"}) == digest_of({"a": 2, "b": 1})
    True
    """
    rest = {key: value for key, value in record.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def tampering(record: Mapping[str, Any]) -> str | None:
    """Return how `record` was changed after it was written, or `None` if it was not."""
    if SEAL not in record:
        return f"the record has no `{SEAL}`, so it may have been edited after it was written"
    if record[SEAL] != digest_of(record):
        return f"the record was edited after it was written (its `{SEAL}` differs)"
    return None
