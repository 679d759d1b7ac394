"""Dropout that is written by hand: an activation times a mask of zeros and of one other number that are drawn.

A mask is drawn by `bernoulli`, by `randint` of two numbers, or by comparing or rounding down uniform numbers. What
keeps each of its elements at one of two numbers keeps it a mask: arithmetic with a number, a cast, another shape. One
number for each sample is no dropout but stochastic depth, which leaves a whole branch out. The rows of a parameter are
no samples: an embedding may lose some of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace

_UNIFORM = frozenset({"rand", "rand_like", "uniform"})
_ABOVE, _BELOW = frozenset({"gt", "ge", "greater", "greater_equal"}), frozenset({"lt", "le", "less", "less_equal"})
_SAME = frozenset({"copy", "reshape", "permute"})
FILLED = {"ones": 1.0, "ones_like": 1.0, "new_ones": 1.0, "zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0}
_FILLS = frozenset({"full", "full_like", "new_full", "fill"})
_WITH_NUMBER: dict[str, Callable[[float, float], float]] = {
    "mul": lambda each, number: each * number,
    "div": lambda each, number: each / number if number else math.nan,
    "add": lambda each, number: each + number,
    "sub": lambda each, number: each - number,
    "rsub": lambda each, number: number - each,
}


class _Drawn(NamedTuple):
    """Each element is `first` or `second`; the latter as probable as `chance`."""

    first: float
    second: float
    chance: float

    def map(self, change: Callable[[float], float]) -> _Drawn:
        return _Drawn(change(self.first), change(self.second), self.chance)

    @property
    def zeros(self) -> float | None:
        """The share of zeros; none where there is another number but zero and one more."""
        if (self.first == 0) == (self.second == 0):
            return None
        return round(self.chance if self.second == 0 else 1 - self.chance, 12)


class Masks:
    """The operations of a trace that apply such a mask, with the share of elements that each drops."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._drawn: dict[int, _Drawn] = {}  # by the event that made a mask
        self._filled: dict[int, float] = {}  # by the event that made a tensor of one number
        self._uniform: dict[int, tuple[float, float]] = {}  # from where to where
        self._by_row: set[int] = set()  # events that made a mask of one number for each row
        self.dropped: dict[int, float] = {}
        if any(event.told.kind == "random" for event in trace.events):
            for event in trace.events:
                self._look_at(event)

    def _look_at(self, event: Event) -> None:
        name, source, number = base_name(event.op), _source(event), event.told.number
        if name in _UNIFORM:
            if name != "uniform" or number == 1.0:
                self._uniform[event.index] = 0.0, 1.0
        elif name == "bernoulli":
            self._draw(event, 0.0, 1.0, number if number is not None else self._filled.get(source))
        elif name in ("randint", "randint_like"):
            self._draw(event, 0.0, 1.0, 0.5 if number == 2 else None)
        elif name in FILLED or name in _FILLS:
            self._fill(event, FILLED.get(name, number))
        elif name in _ABOVE | _BELOW and source in self._uniform and number is not None:
            low, high = self._uniform[source]
            above = (high - number) / (high - low)
            self._draw(event, 0.0, 1.0, above if name in _ABOVE else 1 - above)
        elif name == "floor" and source in self._uniform:
            low, high = self._uniform[source]
            step = math.floor(low) + 1.0
            self._draw(event, step - 1, step, (high - step) / (high - low) if step < high <= step + 1 else None)
        else:
            self._carry(event, name, source)

    def _carry(self, event: Event, name: str, source: int) -> None:
        number = event.told.number
        if name == "logical_not" or (name == "bitwise_not" and event.dtype == "bool"):
            self._map(event, source, lambda each: float(not each))
        elif event.kind in _SAME:
            self._copy(event, source)
        elif name in _WITH_NUMBER and number is not None and not event.params and len(event.inputs) == 1:
            self._map(event, source, lambda each: _WITH_NUMBER[name](each, number))
        else:
            self._apply(event, name)

    def _draw(self, event: Event, first: float, second: float, chance: float | None) -> None:
        if chance is not None:
            self._drawn[event.index] = _Drawn(first, second, min(max(chance, 0.0), 1.0))

    def _fill(self, event: Event, number: float | None) -> None:
        if number is not None:
            self._filled[event.index] = _cast(event)(number)

    def _map(self, event: Event, source: int, change: Callable[[float], float]) -> None:
        """Carry what is known of the elements on to what an operation makes of each."""
        if source in self._drawn:
            self._drawn[event.index] = self._drawn[source].map(change).map(_cast(event))
            self._by_row |= {event.index} if source in self._by_row else set()
        if source in self._filled:
            self._fill(event, change(self._filled[source]))
        if source in self._uniform and _is_float(event):
            low, high = sorted(map(change, self._uniform[source]))
            if low < high:
                self._uniform[event.index] = low, high

    def _copy(self, event: Event, source: int) -> None:
        before, after = (self._trace.events[source].shapes[0] if source >= 0 else ()), event.shapes[0]
        if math.prod(after) <= math.prod(before) or _has_several(before, after):
            self._map(event, source, lambda each: each)
        elif source in self._drawn and before[:1] == after[:1] != (1,) and len(before) == len(after):
            self._map(event, source, lambda each: each)
            self._by_row.add(event.index)
        elif source in self._filled:  # but one number that is drawn is so for all
            self._fill(event, self._filled[source])

    def _apply(self, event: Event, name: str) -> None:
        masks = [index for index in event.inputs if index in self._drawn]
        if len(masks) != 1 or (event.params and name != "mul") or (masks[0] in self._by_row and not event.params):
            return
        drawn, dropped = self._drawn[masks[0]], None
        if name == "mul" and len(event.operands) == 2:
            dropped = drawn.zeros
        elif name == "masked_fill" and event.told.number == 0 and len(event.inputs) == 2:
            dropped = drawn.map(lambda each: float(not each)).zeros
        elif name == "where" and event.operands[0] == masks[0]:
            dropped = self._chosen(event, drawn)
        shape = self._trace.events[masks[0]].shapes[0]
        if dropped is not None and (_has_several(shape, event.shapes[0]) or (event.params and math.prod(shape) > 1)):
            self.dropped[event.index] = dropped

    def _chosen(self, event: Event, drawn: _Drawn) -> float | None:
        """Return how often `where` takes a zero, if one of the two that it takes is zero."""
        numbers = {role: self._filled.get(index) for role, index in zip(event.roles, event.operands, strict=True)}
        number = event.told.number
        yes, no = (numbers.get(role, number) == 0 for role in ("self", "other"))
        if yes == no:
            return None
        return drawn.map(lambda each: float(not each)).zeros if yes else drawn.zeros

    def activation_first(self, event: Event) -> tuple[int, ...]:
        """Return the inputs of an operation that applies a mask: what is dropped, then the mask."""
        return tuple(sorted(event.inputs, key=lambda index: (index in self._drawn, index in self._filled)))


def _source(event: Event) -> int:
    """Return the event whose numbers an operation takes, -1 for another; some read one more for its outside."""
    operands = dict(zip(event.roles, event.operands, strict=True))
    return operands.get("src", operands.get("self", -1))


def _is_float(event: Event) -> bool:
    return "float" in (event.dtype or "")


def _cast(event: Event) -> Callable[[float], float]:
    if _is_float(event):
        return float
    return (lambda each: float(bool(each))) if event.dtype == "bool" else (lambda each: float(math.trunc(each)))


def _has_several(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a mask of a shape has several numbers for a sample of the whole."""
    return any(extent > 1 for extent in (shape[1:] if len(shape) == len(whole) else shape))
