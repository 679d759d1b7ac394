"""Whether values decide what runs in a pass: what code reads of numbers, and what it draws.

Code reads a number where torch hands it to Python (`item`, a condition) and where the size of a result depends on
numbers (`nonzero`, `unique`). Only numbers count that differ from pass to pass: those that follow from an input that
can be changed, or from a draw. What is read past torch (`tolist`, `numpy`) shows in that shapes alone were not enough.
"""

from __future__ import annotations

from collections.abc import Collection

from archcheck.measure.operators.schema import VALUES
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace
from archcheck.measure.shapes.bounds import BOUNDS

_SIZES = frozenset(BOUNDS) - VALUES - {"index", "where", "repeat_interleave"}
_NO_VALUES = frozenset({"flex_attention"})
"""Bounds that no value of a pass decides."""


def reads(trace: Trace, changed: Collection[int] | None = None) -> list[Event]:
    """Return the events by which code reads numbers that differ from pass to pass.

    `changed` are the places of the inputs that can be changed, by default all.
    """
    if not any(event.op in VALUES or event.op in _SIZES for event in trace.events):
        return []
    inputs = [event.index for event in trace.events if event.kind == "input"]
    fixed = set() if changed is None else {index for place, index in enumerate(inputs) if place not in changed}
    varies: list[bool] = []
    for event in trace.events:
        source = (event.kind == "input" and event.index not in fixed) or event.told.draws
        varies.append(source or any(varies[index] for index in event.inputs))
    return [event for event in trace.events if varies[event.index] and (event.op in VALUES or event.op in _SIZES)]


def may_differ(trace: Trace, changed: Collection[int] | None = None) -> bool:
    """Whether values may decide what runs, so that one pass does not tell all."""
    return trace.real or trace.chance or bool(trace.bounds - _NO_VALUES) or bool(reads(trace, changed))
