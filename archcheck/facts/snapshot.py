"""Snapshots: the measures of subjects in a committed file, so that growth shows in a diff and in a check.

The file is JSON with sorted keys and one value per line. It holds the totals, and for every layer its type, its output
shapes, and its own parameters and multiply-accumulates, without those of the layers inside it. It does not depend on
where and with what it was measured: it holds no lines, versions or times.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.json_codec import decode, encode
from archcheck.foundation.json_documents import read_json
from archcheck.foundation.words import quote

SCHEMA = 1
"""Version of the file; it changes when a key changes its meaning or goes away."""
NEED = "snapshot"
"""What a rule needs for the facts to hold the committed measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of a model, as `Params` and `Cost` of the facts define them; shapes are written `1x28x28`.

    `hidden` are the elements of weights that are no parameters; `uncounted` are the operations whose cost nobody knows.
    """

    params: int
    trainable: int
    frozen: int
    buffers: int
    hidden: int
    bytes: int
    macs: int
    fvcore_flops: int
    activations: int
    peak_activation_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    receptive_field: str | None = None
    uncounted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _refuse_negative(**{name: getattr(self, name) for name in COUNTS})


def _refuse_negative(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"`{name}` is below zero: {count}")


COUNTS = tuple(each.name for each in fields(Totals) if each.type == "int")
"""The totals that are numbers."""
GROWING = tuple(name for name in COUNTS if name != "frozen")
"""The totals that count as growth. More frozen weights do not, because a model may freeze weights."""
ON_INPUT = frozenset({"macs", "fvcore_flops", "activations", "peak_activation_bytes"})
"""The totals that depend on the size of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMeasures:
    """The measures of a layer itself, without the layers inside it."""

    type: str
    params: int
    macs: int
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        _refuse_negative(params=self.params, macs=self.macs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The measures of one subject; `layers` by path, the model itself under `""`."""

    totals: Totals
    layers: Mapping[str, LayerMeasures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The entry of a subject in the snapshot file: its measures, or the `problem` with it."""

    file: str
    measures: Snapshot | None
    problem: str | None = None


def incomparable(before: Totals, after: Totals, names: Iterable[str]) -> str | None:
    """Return why these totals cannot be compared, or `None` if they can."""
    if not ON_INPUT.isdisjoint(names) and before.inputs != after.inputs:
        return (
            f"the snapshot was measured on an input of {_listed(before.inputs)}, the model on {_listed(after.inputs)}"
        )
    unknown = [op for op in after.uncounted if op not in before.uncounted]
    if unknown and not {"macs", "fvcore_flops"}.isdisjoint(names):
        return f"the cost of {_listed(unknown)} is unknown, which the snapshot does not have"
    return None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "nothing"


def percent(before: int, after: int) -> str:
    """Return `+5.4 %`, `below 0.1 %` for a smaller change, or `new` if there was nothing before.

    >>> percent(200, 211), percent(20_000, 20_001), percent(0, 1)
    ('+5.5 %', 'below 0.1 %', 'new')
    """
    if not before:
        return "new"
    share = 100 * (after - before) / before
    return "below 0.1 %" if 0 < abs(share) < 0.1 else f"{share:+.1f} %"


def is_snapshot(document: Any) -> bool:
    """Whether a JSON document looks like a snapshot."""
    return isinstance(document, Mapping) and "subjects" in document


def read_snapshot(file: Path, shown: str) -> dict[str, Snapshot]:
    """Return the snapshots in a file by subject; `shown` is its name for people.

    Raises `ArchcheckError`, in one line, for a file that cannot be read or is no snapshot of this schema.
    """
    if not file.exists():
        raise ArchcheckError(f"the snapshot file `{shown}` is missing; write it with `archcheck snapshot`")
    return snapshots_of(read_json(file, shown, _REPAIR), shown)


_REPAIR = "restore it, or delete it and run `archcheck snapshot`"


def snapshots_of(document: Any, shown: str) -> dict[str, Snapshot]:
    """Return the snapshots in a JSON document by subject. Raises `ArchcheckError` in one line if it is none."""
    if not is_snapshot(document):
        raise ArchcheckError(f'{shown} is not a snapshot: it has no key "subjects"; {_REPAIR}')
    schema = document.get("schema")
    if type(schema) is not int or schema != SCHEMA:  # to Python, `true` is 1
        found = quote(json.dumps(schema))
        raise ArchcheckError(
            f"{shown} is a snapshot of schema {found.strip(chr(34))}, this archcheck reads schema {SCHEMA}; {_REPAIR}"
        )
    try:
        return decode(dict[str, Snapshot], document["subjects"], at="subjects")
    except ValueError as error:
        raise ArchcheckError(f"{shown} is damaged: {' '.join(str(error).split())[:200]}; {_REPAIR}") from None


def snapshot_text(snapshots: Mapping[str, Snapshot]) -> str:
    """Return the content of a snapshot file: the same for the same measures, on every machine."""
    document = {"schema": SCHEMA, "subjects": encode(snapshots)}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def committed(file: Path, name: str, shown: str) -> Committed:
    """Return the entry of the subject `name` in `file`. A missing entry or an unreadable file becomes its `problem`."""
    if not file.exists():
        return Committed(file=shown, measures=None, problem=f"the snapshot file `{shown}` is missing")
    try:
        found = read_snapshot(file, shown)
    except ArchcheckError as error:
        return Committed(file=shown, measures=None, problem=str(error))
    if name not in found:
        problem = f"the snapshot file `{shown}` has no entry for {quote(name)}"
        return Committed(file=shown, measures=None, problem=problem)
    return Committed(file=shown, measures=found[name])
