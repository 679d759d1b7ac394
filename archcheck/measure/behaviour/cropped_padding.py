"""Finds padding that is cropped again: other values in its place change no output."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch.nn.functional import pad as padded

from archcheck.foundation.source_place import Where
from archcheck.measure.behaviour.closeness import distance, real_numbers
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.operators.schema import Operator
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.arguments import Call, bind, per_axis
from archcheck.measure.shapes.containers import map_tensors, tensors_in

_CROPS = frozenset(
    {"slice", "narrow", "index", "index_select", "select", "split", "split_with_sizes", "chunk", "unbind"}
)
"""Operators that may remove a border. A negative pad may, too."""
_SAME = 1e-5
"""Largest relative difference of outputs that count as the same: other kernels round otherwise."""
_OTHERS = (0.7, -1.3)
"""The values that replace the padding: distances from the mean of the padded numbers, in standard deviations."""


def may_be_cropped(trace: Trace) -> bool:
    """Whether the pass has an operation that pads and one that crops."""
    return any(map(_is_padding, trace.events)) and any(map(_crops, trace.events))


def cropped(context: ProbeContext, trace: Trace) -> list[Event]:
    """Return the operations of a real pass in evaluation whose padding reaches no output.

    Operations at the same line of a layer are returned only if the padding of all of them is cropped.
    """
    pads = [event for event in trace.events if trace.live[event.index] and _is_padding(event)]
    if not may_be_cropped(trace) or context.macs * 2 * len(pads) > AFFORDABLE:
        return []
    before = context.passes.tried_by(partial(_PaddedPass, watched={event.index for event in pads}), context.example)
    if before is None:
        return []
    kept = {_place(event) for event in pads if not _is_cropped(context, event.index, before)}
    return [event for event in pads if _place(event) not in kept]


def _place(event: Event) -> tuple[str, Where | None]:
    return event.layer, event.where


def _is_cropped(context: ProbeContext, index: int, before: _PaddedPass) -> bool:
    """Whether no output changes with the values that operation `index` pads with. `False` where it cannot be told."""
    if index not in before.calls:
        return False
    operator, call, result = before.calls[index]
    others = [_padded_otherwise(operator, call, other) for other in _OTHERS]
    replaced = [other for other in others if other is not None and not torch.equal(other, result)]
    passes = (context.passes.tried_by(partial(_PaddedPass, watched={index}, by=by), context.example) for by in replaced)
    return bool(replaced) and all(
        each is not None and index in each.calls and _are_the_same(before.outputs, each.outputs) for each in passes
    )


def _is_padding(event: Event) -> bool:
    size = event.attributes.get("padding", event.attributes.get("pad", ()))
    return event.kind in ("conv", "global_conv", "pad") and (isinstance(size, str) or any(each > 0 for each in size))


def _crops(event: Event) -> bool:
    return event.op in _CROPS or any(each < 0 for each in event.attributes.get("pad", ()))


def _are_the_same(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    apart = [distance(*pair) for pair in zip(before, after, strict=False)]
    return len(before) == len(after) and all(each is not None and each <= _SAME for each in apart)


class _PaddedPass(Tracer):  # type: ignore[no-untyped-call]
    """Keeps the outputs, and the calls of the operations `watched` with their results; replaces these results `by` one.

    What a call gives with other padding is computed after the pass: inside, our errors would pass for the subject's.
    """

    def __init__(self, *args: Any, watched: Collection[int], by: torch.Tensor | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outputs: list[torch.Tensor] = []
        self.calls: dict[int, tuple[Operator, Call, torch.Tensor]] = {}
        self._watched, self._by = watched, by

    def _run_real(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: FrameType) -> Any:
        result = super()._run_real(operator, args, kwargs, caller)
        index = len(self.trace.events) - 1
        if index in self._watched and index not in self.calls and isinstance(result, torch.Tensor):
            call = map_tensors(torch.clone, bind(operator.func, args, kwargs))
            self.calls[index] = operator, call, result.clone()
            if self._by is not None:
                result.copy_(self._by)
        return result

    def set_outputs(self, output: Any) -> None:
        """Keep the tensors that the model returned."""
        super().set_outputs(output)
        self.outputs = [tensor.clone() for tensor in tensors_in(output)]


def _padded_otherwise(operator: Operator, call: Call, other: float) -> torch.Tensor | None:
    """Return what a call gives when it pads with another value, `other` standard deviations from the mean.

    Integers stay among those that are padded: they may be indices. `None` for an operation that pads in another way.
    """
    name = "input" if "input" in call else "self"
    given, size = call.get(name), call.get("padding", call.get("pad"))
    if given is None or given.is_quantized or size is None or operator.name == "conv_tbc":
        return None
    numbers = real_numbers(given)
    value = float(numbers.mean() + other * (numbers.std(correction=0) + 1))
    if not (given.is_floating_point() or given.is_complex()):
        low, high = float(numbers.min()), float(numbers.max())
        value = low if other < 0 else high if high > low else low - 1 if low > 0 else low + 1
    if "weight" not in call:
        return padded(given, list(size), value=value)
    sides = [side for pair in reversed([*_sides(call)]) for side in pair]
    none = "valid" if isinstance(size, str) else [0] * (len(sides) // 2)
    without = {**call, name: padded(given, sides, value=value), "padding": none}
    arguments = [without[argument.name] for argument in operator.func._schema.arguments if argument.name in without]
    result: torch.Tensor = operator.func(*arguments)
    return result


def _sides(call: Call) -> Iterator[tuple[int, int]]:
    """Yield by how much a convolution pads each axis at both ends."""
    kernel, size = call["weight"].shape[2:], call["padding"]
    if not isinstance(size, str):
        yield from ((each, each) for each in per_axis(size, len(kernel)))
        return
    for extent, dilation in zip(kernel, per_axis(call.get("dilation", 1), len(kernel)), strict=True):
        whole = dilation * (extent - 1) if size == "same" else 0
        yield whole // 2, whole - whole // 2
