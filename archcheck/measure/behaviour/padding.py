"""Probe of padding: finds maps that any operation enlarged before a window reads them.

Code may concatenate zeros, write a map into a larger one, or reflect or wrap it by an index. The borders of such a map
depend on no input, or repeat other positions. The borders of an upsampled map do neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from archcheck.measure.behaviour.cropped_padding import cropped, may_be_cropped
from archcheck.measure.behaviour.example_variants import noise
from archcheck.measure.behaviour.locate import spot_told
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.operators.operator_results import Answer
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace

_CONVOLUTIONS = frozenset({"conv", "conv_transpose"})
_WINDOWS = _CONVOLUTIONS | {"max_pool", "avg_pool"}
_UNFOLDING = "im2col"
"""The operator that lays out the windows of a map for a product with weights."""
_FIXED = frozenset({"matmul", *_CONVOLUTIONS})
"""Kinds that move positions, like an index, if the matrix or kernel is fixed."""
_MAKES_MAPS = _WINDOWS | {
    "input", "linear", "bilinear", "embedding", "matmul", "attention", "lstm", "gru", "rnn", "upsample",
    "pixel_shuffle", "pad",
}  # fmt: skip
"""Kinds that make new maps. `pad` is one, because its arguments tell what it pads."""


def padded_maps(context: ProbeContext) -> Mapping[str, Any]:
    """Return the operations that enlarge `maps` on the way to convolutions although they are no padding by name.

    `by` begins with both ends of the last axis, like the argument of `F.pad`. `cropped` are operations whose padding
    reaches no output.
    """
    trained = frozenset(
        context.tree.names[id(tensor)] for _, tensor in context.tree.parameters() if tensor.requires_grad
    )
    enlarges, pads = any(_enlarged(context.trace, trained)), may_be_cropped(context.trace)
    if not enlarges and not pads:
        return {"maps": [], "cropped": []}
    trace = context.trace if context.trace.real else context.passes.trace(context.example, training=False, real=True)
    cut = [spot_told(each.op, each.layer, each.where, context.root) for each in cropped(context, trace)]
    enlarged = dict(_enlarged(trace, trained))
    if not enlarged:
        return {"maps": [], "cropped": cut}
    watch = partial(_Maps, watched=enlarged)
    first, second = (context.passes.traced_by(watch, noise(context.example, seed)).maps for seed in (1, 2))
    found = []
    for index, event in enlarged.items():
        axes = len(trace.events[index].attributes["kernel"])
        if index in first and index in second and first[index].shape == second[index].shape:
            told = _padding(first[index], second[index], axes)
            if told is not None:
                found.append({**spot_told(event.op, event.layer, event.where, context.root), **told})
    return {"maps": found, "cropped": cut}


def _enlarged(trace: Trace, trained: frozenset[str]) -> Iterator[tuple[int, Event]]:
    """Yield each window on the way to a convolution whose map was enlarged, and the operation that enlarged it."""
    last = max((event.index for event in trace.events if _reads_windows(event, _CONVOLUTIONS)), default=-1)
    for event in trace.events[: last + 1]:
        if _reads_windows(event, _WINDOWS) and trace.live[event.index] and "kernel" in event.attributes:
            cause = _cause(event, trace, trained)
            if cause is not None:
                yield event.index, cause


def _reads_windows(event: Event, kinds: Collection[str]) -> bool:
    return event.kind in kinds or event.op == _UNFOLDING


def _cause(window: Event, trace: Trace, trained: frozenset[str]) -> Event | None:
    """Return the operation that made the map of a window from a smaller map, `None` if there is none."""
    shapes, axes = window.told.operand_shapes, len(window.attributes["kernel"])
    if not shapes or not window.operands or window.operands[0] < 0:
        return None
    extents, pending, seen = shapes[0][-axes:], [(window.operands[0], window)], set[int]()
    while pending:
        index, reader = pending.pop()
        event = trace.events[index]
        if index in seen or not trace.dependent[index]:
            continue
        seen.add(index)
        if any(len(shape) == len(shapes[0]) and _is_smaller(shape[-axes:], extents) for shape in event.shapes):
            return event if reader is window else reader
        if event.kind not in _MAKES_MAPS or (event.kind in _FIXED and trained.isdisjoint(event.params)):
            pending += [(source, event) for source in event.inputs]
    return None


def _is_smaller(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether a map is smaller along an axis. An axis of one position does not count: all positions share it."""
    return any(1 < size < larger for size, larger in zip(one, other, strict=True))


class _Maps(Tracer):  # type: ignore[no-untyped-call]
    """Keeps the maps that the windows with the indices `watched` read."""

    def __init__(self, *args: Any, watched: Collection[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.maps: dict[int, torch.Tensor] = {}
        self._watched = watched

    def _record(self, told: Answer, tensors: list[torch.Tensor], result: Any, caller: Any) -> Any:
        recorded = super()._record(told, tensors, result, caller)
        index = len(self.trace.events) - 1
        if index in self._watched and (told.kind in _WINDOWS or told.op == _UNFOLDING):
            self.maps[index] = tensors[0].clone()
        return recorded


def _padding(one: torch.Tensor, other: torch.Tensor, axes: int) -> dict[str, Any] | None:
    """Return the padding of a map, given two maps from different inputs; `None` if it has none."""
    ends = [_ends(*(each.movedim(axis, 0).flatten(1) for each in (one, other))) for axis in range(-1, -axes - 1, -1)]
    if not any(ends):
        return None
    with_ = "values of its own" if any(end and end[2] for end in ends) else "constants"
    return {"by": [size for end in ends for size in (end[:2] if end else (0, 0))], "with": with_}


def _ends(one: torch.Tensor, other: torch.Tensor) -> tuple[int, int, bool] | None:
    """Return the number of padded rows at both ends and whether they repeat other rows, `None` without padding."""
    varies = (one != other).any(1).nonzero().flatten().tolist()
    if not varies:
        return None
    before, after = varies[0], len(one) - 1 - varies[-1]
    if before + after and len(varies) == len(one) - before - after:
        return before, after, False
    _, rows = torch.unique(torch.cat([one, other], 1), dim=0, return_inverse=True)
    kept = int(rows.max()) + 1
    if not 1 < kept < len(one):
        return None
    whole = next((at for at in range(len(one) - kept + 1) if len(rows[at : at + kept].unique()) == kept), None)
    return None if whole is None else (whole, len(one) - kept - whole, True)
