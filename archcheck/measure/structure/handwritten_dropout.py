"""Finds dropout written by hand: an activation times a drawn mask of zeros and one other number.

Any spelling is found, because each elementwise operation runs again on the quantiles of what is drawn. It is a dropout
if its result is zero for some quantiles, one other number for the rest, and twice as large for an activation that is
twice as large. One number per sample is no dropout but stochastic depth, which skips a whole branch. The rows of a
parameter are no samples: an embedding may drop some of its own.
"""

from __future__ import annotations

import math

import torch

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace

_UNIFORM = ("rand", "rand_like", "uniform")
_SAME = ("copy", "reshape", "permute")
_FILLED = {"ones": 1.0, "ones_like": 1.0, "new_ones": 1.0, "zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0}
_FILLS = ("full", "full_like", "new_full", "fill", "scalar_tensor")
_TAILS = torch.tensor([10.0**-power for power in range(5, 13)], dtype=torch.float64, device="cpu")
_EDGES = torch.cat([_TAILS, torch.arange(10_001, dtype=torch.float64, device="cpu") / 10_000, 1 - _TAILS]).sort().values
_SHARES = _EDGES.diff()
_QUANTILES = _EDGES[:-1] + _SHARES / 2
"""Numbers between zero and one, each for a share of all draws; usual rates lie between two of them."""


class Masks:
    """The operations of a trace that apply such a mask; `dropped` is the share of elements that each drops."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._values: dict[int, torch.Tensor] = {}  # by event: one number, or one for each quantile of a draw
        self._draws: dict[int, int] = {}  # by event: the event that drew its result
        self._by_row: set[int] = set()  # events that made a mask of one number for each row
        self.dropped: dict[int, float] = {}
        if any(event.told.kind == "random" for event in trace.events):
            for event in trace.events:
                self._look_at(event)

    def _look_at(self, event: Event) -> None:
        source = _source(event)
        drawn, number = _drawn(event, self._values.get(source)), number_of(event)
        if drawn is not None:
            self._values[event.index], self._draws[event.index] = drawn, event.index
        elif number is not None:
            self._values[event.index] = _cast(event, number)
        elif event.kind in _SAME or (event.kind == "broadcast_tensors" and len(event.operands) == 1):
            if source in self._values:
                self._keep(event, [source], _cast(event, self._values[source]))
        elif event.told.elementwise is not None and event.shapes:
            self._map(event)

    def _map(self, event: Event) -> None:
        """Compute the known elements of an elementwise operation, or see what it drops."""
        unknown = [index for index in event.operands if index not in self._values]
        if len({self._draws[index] for index in event.operands if index in self._draws}) > 1 or len(unknown) > 1:
            return
        if unknown:
            self._apply(event)
        elif (made := self._made(event)) is not None:
            self._keep(event, event.operands, made)

    def _made(self, event: Event, unknown: float = 0.0) -> torch.Tensor | None:
        """Return the result of an operation on the known elements, and on a number for unknown ones."""
        assert event.told.elementwise is not None
        other = torch.full_like(_QUANTILES, unknown)
        return event.told.elementwise.of([self._values.get(index, other) for index in event.operands])

    def _keep(self, event: Event, operands: list[int] | tuple[int, ...], values: torch.Tensor) -> None:
        """Record the elements of an event, unless one drawn number is expanded to a whole sample."""
        drawn = next((index for index in operands if index in self._draws), None)
        if drawn is not None:
            before, after = self._trace.events[drawn].shapes[0], event.shapes[0]
            if math.prod(after) > math.prod(before) and not _has_several(before, after):
                if before[:1] != after[:1] or after[:1] == (1,) or len(before) != len(after):
                    return
                self._by_row.add(event.index)
            self._draws[event.index] = self._draws[drawn]
            self._by_row |= {event.index} if drawn in self._by_row else set()
        self._values[event.index] = values

    def _apply(self, event: Event) -> None:
        masks = [index for index in event.inputs if index in self._draws]
        if len(masks) != 1 or (masks[0] in self._by_row and not event.params) or not self._values[masks[0]].any():
            return
        once, twice = self._made(event, 1.0), self._made(event, 2.0)
        if once is None or twice is None or not torch.equal(2 * once, twice):
            return
        dropped, shape = _share_of_zeros(once), self._trace.events[masks[0]].shapes[0]
        if dropped is not None and (_has_several(shape, event.shapes[0]) or (event.params and math.prod(shape) > 1)):
            self.dropped[event.index] = dropped

    def activation_first(self, event: Event) -> tuple[int, ...]:
        """Return the inputs of an operation that applies a mask: the activation, then the mask."""
        return tuple(sorted(event.inputs, key=lambda index: (index in self._draws, index in self._values)))


def number_of(event: Event) -> torch.Tensor | None:
    """Return the one number that fills a new or an external tensor; `None` if its elements differ."""
    name = base_name(event.op)
    if name in _FILLED or name in _FILLS:
        number = _FILLED.get(name, event.told.number)
        return None if number is None else torch.tensor(number, dtype=torch.float64, device="cpu")
    source = event.source
    if source is None or source.device.type == "meta" or source.layout is not torch.strided or not source.numel():
        return None
    if source.is_nested or source.is_quantized or source.is_complex():
        return None
    first = source.detach().flatten()[0]
    first = first.double() if first.is_floating_point() else first
    return first.clone() if bool((source == first).all()) else None


def _drawn(event: Event, chance: torch.Tensor | None) -> torch.Tensor | None:
    """Return what an event draws at each quantile, if that is known; `chance` is its probability."""
    name, number = base_name(event.op), event.told.number
    if name in _UNIFORM and (name != "uniform" or number == 1.0):
        return _QUANTILES
    if name == "bernoulli":
        number = float(chance) if number is None and chance is not None and not chance.dim() else number
        return None if number is None else (1 - number < _QUANTILES).double()
    return (_QUANTILES * number).floor() if name in ("randint", "randint_like") and number else None


def _source(event: Event) -> int:
    """Return the event of the operand whose numbers are used, -1 for a parameter; others may give only a shape."""
    operands = dict(zip(event.roles, event.operands, strict=True))
    return operands.get("src", operands.get("self", operands.get("tensors", -1)))


def _cast(event: Event, values: torch.Tensor) -> torch.Tensor:
    """Return numbers cast to the dtype of an event; floats as float64."""
    return values.double() if "float" in (event.dtype or "") else values.to(getattr(torch, event.dtype or "float64"))


def _share_of_zeros(values: torch.Tensor) -> float | None:
    """Return the share of zeros; `None` unless all others are one number."""
    zero = values == 0
    others = values[~zero]
    if values.shape != _SHARES.shape or not len(others) or bool((others != others[0]).any()):
        return None
    return round(float(_SHARES[zero].sum()), 12)


def _has_several(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a mask of a shape has several numbers for each sample of the whole."""
    return any(extent > 1 for extent in (shape[1:] if len(shape) == len(whole) else shape))
