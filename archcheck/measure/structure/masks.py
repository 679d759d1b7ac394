"""Dropout that is written by hand: an activation times a mask of zeros and ones that are drawn.

A mask is drawn by `bernoulli`, or by comparing uniform numbers with a number, and may be reshaped, cast and scaled. One
number for each sample is no dropout but stochastic depth, which leaves a whole branch out.
"""

from __future__ import annotations

from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.events import Trace

_UNIFORM = frozenset({"rand", "rand_like", "uniform"})
_ABOVE, _BELOW = frozenset({"gt", "ge", "greater", "greater_equal"}), frozenset({"lt", "le", "less", "less_equal"})
_SAME = frozenset({"copy", "reshape", "permute"})
_FILLED = {"ones": 1.0, "ones_like": 1.0, "new_ones": 1.0, "zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0}
_FILLS = frozenset({"full", "full_like", "new_full", "fill"})


class Masks:
    """The operations of a trace that apply such a mask, with the share of elements that each drops."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._kept: dict[int, float] = {}  # how probable a one is, by the event that made a mask
        self._filled: dict[int, float] = {}  # by the event that made a tensor of one number
        self._uniform: set[int] = set()
        self.dropped: dict[int, float] = {}
        if any(event.told.kind == "random" for event in trace.events):
            for event in trace.events:
                self._look_at(event)

    def _look_at(self, event: Event) -> None:
        name, source = base_name(event.op), event.inputs[0] if len(event.inputs) == 1 else -1
        if name in _UNIFORM:
            self._uniform |= {event.index} if name != "uniform" or event.told.number == 1.0 else set()
        elif name == "bernoulli":
            kept = event.told.number if event.told.number is not None else self._filled.get(source)
            self._keep(event, kept)
        elif name in _FILLED or name in _FILLS:
            self._fill(event, _FILLED.get(name, event.told.number))
        elif name in _ABOVE | _BELOW and source in self._uniform and event.told.number is not None:
            self._keep(event, 1 - event.told.number if name in _ABOVE else event.told.number)
        elif name in ("logical_not", "bitwise_not") and source in self._kept:
            self._keep(event, 1 - self._kept[source])
        elif event.kind in _SAME and not event.params:
            self._uniform |= {event.index} if source in self._uniform else set()
            self._keep(event, self._kept.get(source))
            self._fill(event, self._filled.get(source))
        elif event.kind in ("mul", "div") and event.told.number and not event.params and source >= 0:
            self._keep(event, self._kept.get(source))
            if source in self._filled:
                before, number = self._filled[source], event.told.number
                self._fill(event, before * number if event.kind == "mul" else before / number)
        elif event.kind == "mul" or (name == "masked_fill" and event.told.number == 0):
            self._apply(event)

    def _keep(self, event: Event, share: float | None) -> None:
        if share is not None:
            self._kept[event.index] = min(max(share, 0.0), 1.0)

    def _fill(self, event: Event, number: float | None) -> None:
        if number is not None:
            self._filled[event.index] = number

    def _apply(self, event: Event) -> None:
        masks = [index for index in event.inputs if index in self._kept]
        if len(masks) != 1 or len(event.inputs) != 2 or event.params:
            return
        shape = self._trace.events[masks[0]].told.shapes[0]
        whole = event.told.shapes[0]
        own = shape[1:] if len(shape) == len(whole) else shape
        if any(extent > 1 for extent in own):
            kept = self._kept[masks[0]]
            self.dropped[event.index] = round(kept if event.kind != "mul" else 1 - kept, 12)

    def activation_first(self, event: Event) -> tuple[int, ...]:
        """Return the inputs of an operation that applies a mask: what is dropped, then the mask."""
        return tuple(sorted(event.inputs, key=self._kept.__contains__))
