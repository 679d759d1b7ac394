"""Paddings that are cut off again: other values in their place change no output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import torch
from torch.nn.functional import pad as padded

from archcheck.foundation.source_place import Where
from archcheck.measure.behaviour.closeness import distance
from archcheck.measure.behaviour.probe_context import Bench
from archcheck.measure.operators.schema import Operator
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.arguments import bind
from archcheck.measure.shapes.containers import tensors_in

_CROPS = frozenset(
    {"slice", "narrow", "index", "index_select", "select", "split", "split_with_sizes", "chunk", "unbind"}
)
"""Operators that may leave out a border; so may a negative pad."""
_SAME = 1e-5
"""Share of the largest number up to which outputs are the same: other kernels sum in another order."""
_OTHERS = (0.7, -1.3)
"""What stands in place of the padding, in standard deviations of what is padded, beside its mean."""


def may_be_cropped(trace: Trace) -> bool:
    """Whether something pads, and something crops."""
    return any(map(_is_padding, trace.events)) and any(map(_crops, trace.events))


def cropped(bench: Bench, trace: Trace) -> list[Event]:
    """Return the operations of a real pass in evaluation whose padding reaches no output.

    Of several at one line of a layer, none is returned unless all are cropped.
    """
    pads = [event for event in trace.events if trace.live[event.index] and _is_padding(event)]
    if not may_be_cropped(trace) or bench.macs * 2 * len(pads) > AFFORDABLE:
        return []
    with suppress(Exception):  # whatever the subject raises on numbers that nobody promised it
        before = _outputs(bench, -1, 0.0)
        kept = {_place(event) for event in pads if not _is_cropped(bench, event, before)}
        return [event for event in pads if _place(event) not in kept]
    return []


def _place(event: Event) -> tuple[str, Where | None]:
    return event.layer, event.where


def _is_cropped(bench: Bench, event: Event, before: list[torch.Tensor] | None) -> bool:
    return all(_are_the_same(before, _outputs(bench, event.index, other)) for other in _OTHERS)


def _is_padding(event: Event) -> bool:
    size = event.attributes.get("padding", event.attributes.get("pad", ()))
    return event.kind in ("conv", "global_conv", "pad") and (isinstance(size, str) or any(each > 0 for each in size))


def _crops(event: Event) -> bool:
    return event.op in _CROPS or any(each < 0 for each in event.attributes.get("pad", ()))


def _outputs(bench: Bench, at: int, other: float) -> list[torch.Tensor] | None:
    def make(*args: Any, **kwargs: Any) -> _OtherPadding:
        return _OtherPadding(*args, at=at, other=other, **kwargs)

    tracer = bench.passes.traced_by(make, bench.example)
    return tracer.kept if tracer.replaced or at < 0 else None


def _are_the_same(before: list[torch.Tensor] | None, after: list[torch.Tensor] | None) -> bool:
    if before is None or after is None or len(before) != len(after):
        return False
    apart = [distance(*pair) for pair in zip(before, after, strict=True)]
    return all(each is not None and each <= _SAME for each in apart)


class _OtherPadding(Tracer):  # type: ignore[no-untyped-call]
    """Gives the operation number `at` other values to pad with, and keeps the outputs."""

    def __init__(self, *args: Any, at: int, other: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: list[torch.Tensor] = []
        self.replaced = False
        self._at, self._other = at, other

    def _run_real(self, operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any], caller: FrameType) -> Any:
        result = super()._run_real(operator, args, kwargs, caller)
        if not self.replaced and len(self.trace.events) - 1 == self._at and isinstance(result, torch.Tensor):
            result.copy_(_padded_otherwise(operator, bind(operator.func, args, kwargs), self._other))
            self.replaced = True
        return result

    def set_outputs(self, output: Any) -> None:
        """Keep the tensors that the model returned."""
        super().set_outputs(output)
        self.kept = [tensor.clone() for tensor in tensors_in(output)]


def _padded_otherwise(operator: Operator, call: Mapping[str, Any], other: float) -> torch.Tensor:
    name = "input" if "input" in call else "self"
    given = call[name]
    value = float(given.mean() + other * (given.std() + 1))
    if "padding" not in call:
        return padded(given, list(call["pad"]), value=value)
    if operator.name.startswith(("reflection", "replication", "circular", "_pad_circular")):
        return padded(given, list(call["padding"]), value=value)
    sides = [side for pair in reversed([*_sides(call)]) for side in pair]
    none = "valid" if isinstance(call["padding"], str) else [0] * (len(sides) // 2)
    without = {**call, name: padded(given, sides, value=value), "padding": none}
    arguments = [without[argument.name] for argument in operator.func._schema.arguments if argument.name in without]
    result: torch.Tensor = operator.func(*arguments)
    return result


def _sides(call: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield by how much a convolution pads each axis at both ends."""
    weight: Sequence[int] = call["weight"].shape[2:]
    if not isinstance(call["padding"], str):
        yield from ((each, each) for each in _each(call["padding"], len(weight)))
        return
    for kernel, dilation in zip(weight, _each(call.get("dilation", 1), len(weight)), strict=True):
        whole = dilation * (kernel - 1) if call["padding"] == "same" else 0
        yield whole // 2, whole - whole // 2


def _each(given: Any, axes: int) -> list[int]:
    sizes = [given] if isinstance(given, int) else list(given)
    return sizes * axes if len(sizes) == 1 else sizes
