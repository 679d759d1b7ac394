"""Tells whether values decide what runs in a pass: which numbers code reads, and which it draws.

Code reads a number if torch returns it to Python (`item`, a condition, `tolist`) or if the size of a result depends on
it (`nonzero`, `unique`, a mask as an index). Only numbers that differ between passes count: they depend on an input
that can be changed, or on a draw.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archcheck.foundation.source_place import Where
from archcheck.measure.operators.schema import VALUES
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.unknown_sizes import BOUNDS

_BY_MASK = frozenset({"index", "where", "repeat_interleave"})
_SIZES = frozenset(BOUNDS) - VALUES - _BY_MASK
_NO_VALUES = frozenset({"flex_attention"})
"""Operators with bounded costs that depend on no value of a pass."""


@dataclass(frozen=True, slots=True)
class Read:
    """A number, a size or a list that code reads, with the layer and the line that read it."""

    layer: str
    where: Where | None
    value: bool | int | float | str


def reads(trace: Trace, changed: Collection[int] | None = None) -> list[Read]:
    """Return the numbers that code reads and that differ between passes.

    `changed` are the positions of the inputs that can be changed, by default all.
    """
    reading = _reading(trace)
    if not reading and not trace.handed:
        return []
    inputs = [event.index for event in trace.events if event.kind == "input"]
    fixed = set() if changed is None else {index for place, index in enumerate(inputs) if place not in changed}
    varies: list[bool] = []
    for event in trace.events:
        source = (event.kind == "input" and event.index not in fixed) or event.told.draws
        varies.append(source or any(varies[index] for index in event.inputs))
    found = [Read(each.layer, each.where, _value(each, trace)) for each in reading if varies[each.index]]
    return found + [Read(each.layer, each.where, each.text) for each in trace.handed if varies[each.maker]]


def led_to_reads(trace: Trace, params: Collection[str] | None = None) -> set[int]:
    """Return the events that lead to numbers that code reads; with `params`, only to those that these influence."""
    ends = [*(event.index for event in _reading(trace)), *(each.maker for each in trace.handed)]
    if params is None:
        return trace.leading_to(ends)
    moved: list[bool] = []
    for event in trace.events:
        moved.append(not set(params).isdisjoint(event.params) or any(moved[index] for index in event.inputs))
    return trace.leading_to(end for end in ends if end >= 0 and moved[end])


def _reading(trace: Trace) -> list[Event]:
    return [event for event in trace.events if event.op in VALUES or _has_size_of_values(event, trace)]


def _value(event: Event, trace: Trace) -> bool | int | float:
    return trace.values.get(event.index, event.shapes[0][0] if event.shapes and event.shapes[0] else 0)


def _has_size_of_values(event: Event, trace: Trace) -> bool:
    if event.op in _SIZES:
        return True
    if event.op == "where":
        return len(event.operands) == 1
    masks = (trace.events[index] for index in event.operands[1:] if index >= 0)
    return event.op == "index" and any(mask.dtype in ("bool", "uint8") for mask in masks)


def may_differ(trace: Trace, changed: Collection[int] | None = None) -> bool:
    """Whether values may decide what runs, so that one pass may not show every operation."""
    return trace.real or trace.chance or bool(trace.bounds - _NO_VALUES) or bool(reads(trace, changed))
