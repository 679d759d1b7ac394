"""Recognises matrix products written as a loop: `y = y + x[:, i, None] * w[i]`, or the sum of a stack of such terms.

Two kinds of products in a loop are parts of one product:

* Each element of one operand meets each of the other, as in a linear layer by columns. A single one is a scaling.
* Weights scale several slices of one map, as in a convolution by its taps, `w[0] * x[:, :-1] + w[1] * x[:, 1:]`.

Several maps that are scaled and added are no such product: a weighted fusion is commonly counted as zero.
"""

from __future__ import annotations

from typing import NamedTuple

from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace

_VIEWS = frozenset({"slice", "reshape", "permute", "copy"})
"""Kinds of operations that return numbers of one tensor unchanged, all or some."""


class Term(NamedTuple):
    """A product that may be one of several in a sum: its multiply-accumulates, and whether it `repeats` its operands.

    `places` are the operands of a map and of a weight that does not depend on the input; `None` if there are none.
    """

    macs: int
    repeats: bool
    places: tuple[int, int] | None


class _Sum(NamedTuple):
    """What an event sums: multiply-accumulates of products by event, and of scaled slices by map and event."""

    repeated: dict[int, int]
    slices: dict[int, dict[int, int]]


class Loops:
    """Products whose sum is written as additions; `found` are their multiply-accumulates by event."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._sums: dict[int, _Sum] = {}  # by event, of products that are not counted yet
        self._weights: set[int] = set()  # events whose numbers come from parameters alone
        self.found: dict[int, int] = {}

    def note(self, event: Event, term: Term | None) -> None:
        """Take in the next event, with the term that it may be."""
        if not self._trace.dependent[event.index] and (event.params or not self._weights.isdisjoint(event.inputs)):
            self._weights.add(event.index)
        operands = [self._sums[index] for index in event.operands if index in self._sums]
        if term is not None and (own := self._alone(event, term)):
            self._add_up(event, [*operands, own])
        elif event.kind in ("add", "sub"):
            self._add_up(event, operands)
        elif event.kind == "cat" and operands:
            self._sums[event.index] = _joined(operands)
        elif event.kind in ("sum", "mean") and operands:
            self._close(operands[0])
        elif operands and len(event.operands) == 1 and event.kind in (*_VIEWS, "mul"):
            self._sums[event.index] = operands[0]

    def _alone(self, event: Event, term: Term) -> _Sum | None:
        if term.repeats:
            return _Sum({event.index: term.macs}, {})
        whole = term.places and self._sliced_by_weights(event, *term.places)
        return None if whole is None else _Sum({}, {whole: {event.index: term.macs}})

    def _add_up(self, event: Event, operands: list[_Sum]) -> None:
        if operands:
            joined = _joined(operands)
            several = len(operands) > 1 and any(each.repeated for each in operands)
            if several:
                self.found |= joined.repeated
            self._sums[event.index] = _Sum({}, joined.slices) if several else joined
            self._close(_Sum({}, joined.slices))

    def _close(self, total: _Sum) -> None:
        """Count the products of a sum, if they are several."""
        for terms in (total.repeated, *total.slices.values()):
            if len(terms) > 1:
                self.found |= terms

    def _sliced_by_weights(self, event: Event, place: int, other: int) -> int | None:
        """Return the event of the map if a parameter scales a slice of it, else `None`."""
        index = event.operands[other]
        weighs = index in self._weights if index >= 0 else event.names[other] in event.params
        return self._sliced(event, place) if weighs else None

    def _sliced(self, event: Event, place: int) -> int | None:
        """Return the event of the map behind the views of an operand; `None` unless they take a slice."""
        sliced = False
        while (index := event.operands[place]) >= 0:
            maker = self._trace.events[index]
            if maker.kind not in _VIEWS or not maker.operands:
                return index if sliced else None
            sliced = sliced or maker.kind == "slice"
            event, place = maker, 0
        return None


def _joined(sums: list[_Sum]) -> _Sum:
    repeated: dict[int, int] = {}
    slices: dict[int, dict[int, int]] = {}
    for each in sums:
        repeated |= each.repeated
        for whole, terms in each.slices.items():
            slices[whole] = slices.get(whole, {}) | terms
    return _Sum(repeated, slices)
