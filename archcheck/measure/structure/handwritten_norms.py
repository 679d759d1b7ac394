"""Recognises handwritten normalisations: a tensor, perhaps minus its mean, divided by a deviation of it."""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace

_PASSED = frozenset({"sqrt", "rsqrt", "add", "clamp", "clamp_min", "clip", "maximum", "reciprocal", "mul", "div"})
_MOVED = frozenset({"reshape", "copy"})
_DEVIATIONS = frozenset({"var", "std", "var_mean", "std_mean"})
_MEANS = frozenset({"mean", "var_mean", "std_mean"})
_LENGTHS = frozenset({"linalg_vector_norm", "norm"})
_SPREAD = frozenset({"add", "mul", "div", "clamp", "clamp_min", "clip", "maximum", "reshape", "copy"})
_FAR = 12
"""Most operations between a tensor and its statistic."""
_NEAR = 1e-3


class Handwritten(NamedTuple):
    """A kind that several operations form, the event that they begin at (-1 if unknown), and those that are parts."""

    kind: str
    origin: int
    parts: frozenset[int]


class Deviations:
    """Finds the handwritten normalisations of a trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace, self._events = trace, trace.events
        self.settled: set[int] = set()
        """The batch normalisations with stored statistics."""

    def normalisation(self, event: Event) -> Handwritten | None:
        """Return the normalisation that an event ends, `None` if it ends none."""
        if event.kind not in ("div", "mul"):
            return None
        if (by_length := self._by_length(event)) is not None or len(event.operands) != 2:
            return by_length
        one, other = event.operands
        for top, bottom in ((one, other), (other, one)) if event.kind == "mul" else ((one, other),):
            found = self._normalised(event, top, bottom) or self._by_statistics(event, top, bottom)
            if found is not None:
                return found
        return None

    def _normalised(self, event: Event, top: int, bottom: int) -> Handwritten | None:
        if top < 0 or bottom < 0 or not self._trace.dependent[top]:
            return None
        shape = event.shapes[0]
        if self._events[top].shapes[:1] != (shape,):
            return None
        inside = {event.index}
        top = self._unscaled(top, inside)
        centred = self._centred(top, inside)
        way = self._to_deviation(bottom)
        if way is None:
            return None
        statistic, passed, inverted = way
        if inverted != (event.kind == "mul"):
            return None
        inside |= passed
        if not self._deviates(statistic, top, centred, inside):
            return None
        origin = top if centred is None else centred
        kind = self._kind(self._events[origin], self._axes(statistic, self._events[origin]), centred is not None)
        if kind is None or self._is_input(origin):
            return None
        return Handwritten(kind, origin, frozenset(inside - {event.index, origin}))

    def _unscaled(self, index: int, inside: set[int]) -> int:
        """Return what an event multiplies by a learned scale; the event itself if it does not."""
        event = self._events[index]
        before = activations(event, self._trace)
        if event.kind != "mul" or not event.params or len(before) != 1:
            return index
        inside.add(index)
        return before[0]

    def _by_length(self, event: Event) -> Handwritten | None:
        """Return an RMS normalisation written with a vector norm: divided by it, times the root of the extent."""
        last, factor, inside = event, 1.0, set[int]()
        while last.kind == "mul" and len(inside) < _FAR:
            before, number = self._before(last), self._number(last)
            if len(before) != 1 or (number is None and (last is event or not last.params)):
                return None
            factor *= 1.0 if number is None else number
            inside.add(last.index)
            last = self._events[before[0]]
        if last.kind != "div" or len(last.operands) != 2 or min(last.operands) < 0:
            return None
        top, index = self._uncast(self._unscaled(last.operands[0], inside)), last.operands[1]
        while base_name(self._events[index].op) not in _LENGTHS:
            each = self._events[index]
            before, number = self._before(each), self._number(each)
            if each.params or len(before) != 1 or (each.kind not in _SPREAD and base_name(each.op) not in _SPREAD):
                return None
            factor /= number if each.kind == "mul" and number else 1.0
            factor *= number if each.kind == "div" and number else 1.0
            inside.add(index)
            index = before[0]
        origin, length = self._events[top], self._events[index]
        axes = self._axes(index, origin) if origin.shapes and self._uncast(self._source(index)) == top else None
        kind = self._kind(origin, axes, centred=False)
        count = math.prod(origin.shapes[0][axis] for axis in axes or ())
        if kind is None or _exponent(length) not in (0.0, 2.0) or self._is_input(top):
            return None
        is_mean = math.isclose(factor, math.sqrt(count), rel_tol=_NEAR)
        return Handwritten(kind, top, frozenset({*inside, last.index, index} - {event.index, top})) if is_mean else None

    def _before(self, event: Event) -> list[int]:
        return [each for each in event.inputs if self._trace.dependent[each]]

    def _number(self, event: Event) -> float | None:
        """Return the number that an event multiplies or divides by, alone or together with a learned scale."""
        if event.told.number is not None:
            return event.told.number
        scales = [self._events[each] for each in event.inputs if not self._trace.dependent[each]]
        return scales[0].told.number if len(scales) == 1 and scales[0].kind == "mul" else None

    def _uncast(self, index: int) -> int:
        """Return the event that made a tensor before casts and copies."""
        while index >= 0 and self._events[index].kind == "copy" and len(self._events[index].inputs) == 1:
            index = self._events[index].inputs[0]
        return index

    def _by_statistics(self, event: Event, top: int, bottom: int) -> Handwritten | None:
        """Return a batch normalisation with stored statistics: minus a mean, divided by the root of a variance."""
        if top < 0 or bottom < 0 or self._trace.dependent[bottom] or not self._trace.dependent[top]:
            return None
        inside: set[int] = set()
        less, rooted = self._events[self._unscaled(top, inside)], False
        inside.add(less.index)
        if less.kind != "sub" or len(less.operands) != 2 or not self._keeps(less) or self._is_input(less.operands[0]):
            return None
        while True:
            factor = self._events[bottom]
            inside.add(bottom)
            rooted |= base_name(factor.op) in ("sqrt", "rsqrt") or (
                base_name(factor.op) == "pow" and len(factor.inputs) < 2
            )
            if self._keeps(factor) or len(factor.inputs) != 1:
                break
            bottom = factor.inputs[0]
        if not rooted or not self._keeps(factor):
            return None
        self.settled.add(event.index)
        return Handwritten("batch_norm", less.operands[0], frozenset(inside))

    def _keeps(self, event: Event) -> bool:
        """Whether an event reads a stored tensor that is not trained, and no other."""
        return len(event.params) == 1 and event.params[0] not in self._trace.trained

    def _centred(self, index: int, inside: set[int]) -> int | None:
        """Return the tensor whose mean an event subtracts from it; `None` if it does not."""
        event = self._events[index]
        if event.kind != "sub" or len(event.operands) != 2 or event.operands[0] < 0:
            return None
        whole, mean = event.operands
        passed = self._back_to_mean(mean)
        if passed is None or self._source(passed[-1]) != whole:
            return None
        inside.update({index, *passed})
        return whole

    def _back_to_mean(self, index: int) -> list[int] | None:
        """Return the events from one back to the first mean, through reshapes."""
        passed = []
        for _ in range(_FAR):
            if index < 0:
                return None
            passed.append(index)
            event = self._events[index]
            if event.kind in _MEANS or base_name(event.op) in _MEANS:
                return passed
            if event.kind not in _MOVED or not event.operands:
                return None
            index = event.operands[0]
        return None

    def _source(self, index: int) -> int:
        return self._events[index].operands[0] if self._events[index].operands else -1

    def _to_deviation(self, index: int) -> tuple[int, set[int], bool] | None:
        """Return the statistic that a factor comes from, the events up to it, and whether the factor is its inverse."""
        passed: set[int] = set()
        inverted = False
        for _ in range(_FAR):
            if index < 0:
                return None
            event = self._events[index]
            passed.add(index)
            name = base_name(event.op)
            if name in _DEVIATIONS or event.kind == "mean":
                return index, passed, inverted
            if name in ("rsqrt", "reciprocal") or (name == "pow" and (event.told.number or _exponent(event)) < 0):
                inverted = not inverted
            elif name not in _PASSED and event.kind not in _MOVED and name != "pow":
                return None
            if event.params and name != "add":
                return None
            before = activations(event, self._trace)
            if len(before) != 1:
                return None
            index = before[0]
        return None

    def _deviates(self, statistic: int, top: int, centred: int | None, inside: set[int]) -> bool:
        """Whether a variance or a mean of squares is taken of what it divides."""
        event = self._events[statistic]
        origin = top if centred is None else centred
        if base_name(event.op) in _DEVIATIONS:
            return self._source(statistic) in (origin, top) and centred is not None
        squares = self._events[self._source(statistic)]
        name = base_name(squares.op)
        is_square = name == "square" or (name == "pow" and _exponent(squares) == 2)
        is_square = is_square or (
            squares.kind == "mul" and len(set(squares.operands)) == 1 and len(squares.operands) == 2
        )
        if not is_square or not squares.operands:
            return False
        inside.add(squares.index)
        of = squares.operands[0]
        if self._uncast(of) in (self._uncast(top), self._uncast(origin)) and (centred is None or of == top):
            return True
        twice = self._centred(of, inside)  # the difference is computed twice
        return twice is not None and twice == centred

    def _axes(self, statistic: int, origin: Event) -> frozenset[int] | None:
        """Return the axes that a statistic is taken over."""
        event = self._events[statistic]
        dims = event.attributes.get("dims")
        if dims is not None:
            return frozenset(dims)
        whole, rest = origin.shapes[0], event.shapes[0]
        if len(whole) == len(rest):
            return frozenset(axis for axis, (a, b) in enumerate(zip(whole, rest, strict=True)) if a != b)
        axes = range(len(whole))
        fits = [
            gone
            for gone in combinations(axes, len(whole) - len(rest))
            if tuple(whole[axis] for axis in axes if axis not in gone) == rest
        ]
        return frozenset(fits[0]) if len(fits) == 1 else None

    def _kind(self, origin: Event, axes: frozenset[int] | None, centred: bool) -> str | None:
        """Return which normalisation is taken over some axes."""
        if not axes or not origin.shapes:
            return None
        shape = origin.shapes[0]
        last = len(shape) - 1
        if not centred:
            return "rms_norm" if axes in ({last}, {1}) and last > 0 else None
        if 0 in axes:
            return "batch_norm" if axes == frozenset(range(len(shape))) - {1} and last > 0 else None
        if axes == frozenset(range(2, len(shape))) and last > 1:
            if self._is_grouped(origin):
                return "group_norm"
            return "instance_norm" if last > 2 else "layer_norm"
        whole = axes == frozenset(range(1, len(shape)))
        return "layer_norm" if whole or axes in ({last}, {1}) or axes == frozenset(range(min(axes), last + 1)) else None

    def _is_grouped(self, origin: Event) -> bool:
        """Whether a reshape split the channels into groups."""
        if origin.kind != "reshape" or not origin.operands or origin.operands[0] < 0:
            return False
        before = self._events[origin.operands[0]].shapes[0]
        return len(before) > 2 and before[1] != origin.shapes[0][1]

    def _is_input(self, origin: int) -> bool:
        """Whether an unchanged input is normalised: that prepares data."""
        event = self._events[origin]
        while event.kind in ("reshape", "copy", "permute", "slice", "cat", "pad") and event.inputs:
            event = self._events[event.inputs[0]]
        return event.kind == "input"


def activations(event: Event, trace: Trace) -> list[int]:
    """Return the events of the operands that depend on the input; an operand used twice comes twice."""
    return [index for index in event.operands if index >= 0 and trace.dependent[index]]


def _exponent(event: Event) -> float:
    numbers = [number.real for number in event.told.numbers]
    return numbers[0] if numbers else 0.0
