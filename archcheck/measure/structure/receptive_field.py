"""The receptive field: how many input positions one position of a feature map depends on, per axis.

It accumulates along the graph: a window of extent k with dilation d and stride s, over a map whose positions are `jump`
input positions apart, adds (k - 1) * d * jump and multiplies the jump by s (Araujo, Norris and Sim, "Computing
Receptive Fields of Convolutional Neural Networks", Distill 2019). Where branches join, the largest field counts. As in
that article, global pooling, which sees the whole map whatever its size, is left out, and a field may be larger than
the input. Operations without a window (sampling on a grid, an index) add nothing.

A window may be written without a convolution (`shifts`): `unfold` is one. Where branches meet that slices, `roll` or
padding shifted, a position sees everything from the first to the last position that one of them sees.

Taps off the map add nothing: a window adds what its taps on the map span at the position where they span most. Besides
the sum, the first and the last input position that each position sees are followed as far as possible, because taps
that fall off the map at different positions do not add up (`window_spans`). The smaller number counts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch

from archcheck.facts.records import PART_OF, Op, Shape
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.shifts import (
    folding,
    is_unfolded,
    kept_positions,
    roll_of,
    unfolded_axis,
    unfolding,
)
from archcheck.measure.structure.window_spans import Span, Window, joined, through

_WINDOWS = ("conv", "global_conv", "conv_transpose", "max_pool", "avg_pool")
_GLOBAL = ("attention", "matmul")  # products of activations with one another
_UNPLACED = ("conv_tbc", "torchvision::deform_conv2d")
"""Operators whose positions are not the last axes, or whose taps depend on data."""


_Parts = TypeVar("_Parts", bound=Hashable)


class Axis(NamedTuple):
    """The positions along one axis of a map: their extent and their jump in input positions, and what each sees."""

    extent: float = 1.0
    jump: float = 1.0
    seen: Span | None = None

    @property
    def positions(self) -> int:
        """How many input positions are seen.

        A field is cut to what is seen of an input that is seen whole, except for less than one step to the next
        position: strides need not divide the input.
        """
        partly = self.seen is None or self.seen.widest + self.jump > self.seen.whole
        return round(self.extent if self.seen is None or partly else min(self.extent, self.seen.widest))


class Field(NamedTuple):
    """The axes of one map. If `windowed`, a window made the map, so these are known to be its last axes."""

    axes: tuple[Axis, ...]
    windowed: bool = False


def receptive_field(ops: Sequence[Op], trace: Trace) -> Shape | None:
    """Return the field of the last live maps that windows made, the largest if branches end separately.

    `ops` and the events of `trace` have the same indices. The result is `None` without a window, and if attention lets
    every position see all others.
    """
    fields: dict[int, Field] = {}
    ends: dict[int, set[int]] = {}
    for op in ops:
        if not op.live:
            continue
        if op.kind in _GLOBAL:
            return None
        field = _field(op, _before(op, fields, ops, trace), ops, trace)
        if field is not None:
            fields[op.index] = field
        # The last windows that lead to an operation.
        ends[op.index] = {op.index} if _is_window(op) else set().union(*(ends.get(each, set()) for each in op.inputs))
    last = set().union(*(ends.get(index, set()) for index in _sinks(ops)))
    found = _join([fields[index] for index in last if index in fields])
    return None if found is None else tuple(axis.positions for axis in found.axes)


def _is_window(op: Op) -> bool:
    return (op.kind in _WINDOWS and "kernel" in op.attributes) or is_unfolded(op)


def _before(op: Op, fields: Mapping[int, Field], ops: Sequence[Op], trace: Trace) -> list[Field]:
    """Return the fields of what an operation reads; an input beside maps of its size sees itself."""
    known = [fields[index] for index in op.inputs if index in fields]
    sizes = {tuple(len(axis.seen.first) for axis in field.axes if axis.seen is not None) for field in known}
    for index in op.inputs if len(sizes) == 1 and () not in sizes else ():
        extents, axes = ops[index].shapes, len(next(iter(sizes)))
        if index not in fields and trace.dependent[index] and extents and extents[0][-axes:] in sizes:
            known.append(_fresh(extents[0][-axes:]))
    return known


def _sinks(ops: Sequence[Op]) -> set[int]:
    """Return the live operations that no live operation reads."""
    live = [op for op in ops if op.live and PART_OF not in op.attributes]
    return {op.index for op in live} - {index for op in live for index in op.inputs}


def _field(op: Op, before: list[Field], ops: Sequence[Op], trace: Trace) -> Field | None:
    field = _join(before)
    if op.op in _WINDOWLESS:
        return _windowless(op, field, trace)
    if _is_window(op):
        return _through_window(_windows(op), field, _extents(op, trace), op.shapes[0])
    if op.kind == "pixel_shuffle":
        field = field or _fresh(ops[op.inputs[0]].shapes[0][-2:])
        before_it, after_it = ops[op.inputs[0]].shapes[0], op.shapes[0]
        return _rescaled(field, [after / before for after, before in zip(after_it[-2:], before_it[-2:], strict=True)])
    if field is None and op.kind == "pad" and op.inputs and len(op.shapes[0]) > 2:
        field = _fresh(ops[op.inputs[0]].shapes[0][2:])  # padding is no part of the input
    if field is None:
        return None
    if op.kind == "upsample" and op.attributes.get("scale"):
        return _interpolated(field, op)
    if op.kind == "permute":
        return _permuted(field, op.attributes.get("order", ()))
    if op.kind == "pad":
        return _padded(field, op.attributes.get("pad", ()))
    return field


def _fresh(extents: Sequence[int]) -> Field:
    return Field(_of_each(extents, lambda extent: Axis(seen=Span.of_input(extent))))


def _extents(op: Op, trace: Trace) -> tuple[int, ...] | None:
    """Return the extents of the map that a window slides over; `None` if they are not its last axes."""
    shapes, axes = trace.events[op.index].told.operand_shapes, len(op.attributes["kernel"])
    return shapes[0][-axes:] if shapes and op.op not in _UNPLACED else None


def _rescaled(field: Field, scale: Sequence[float]) -> Field:
    """Return the field after positions moved into channels or back: if they become fewer, one sees what several saw."""
    axes = tuple(
        Axis(axis.extent + (max(1.0, 1 / by) - 1) * axis.jump, axis.jump / by, axis.seen and axis.seen.rescaled(by))
        for axis, by in zip(field.axes, scale, strict=False)
    )
    return Field(axes, windowed=True)


def _interpolated(field: Field, op: Op) -> Field:
    """Return the field after interpolation, which reads two positions along an axis if linear, four if cubic."""
    reach = 3 if "cubic" in op.op else 1 if "linear" in op.op else 0
    each = zip(field.axes, op.attributes["scale"], op.shapes[0][-len(field.axes) :], strict=False)
    axes = tuple(
        Axis(axis.extent + reach * axis.jump, axis.jump / by, axis.seen and axis.seen.interpolated(out, reach))
        for axis, by, out in each
    )
    return field._replace(axes=axes)


def _permuted(field: Field, order: Sequence[int]) -> Field | None:
    """Return the field after a permutation; one that mixes other axes in changes no field of a window."""
    axes = len(field.axes)
    places = [source - (len(order) - axes) for source in order[-axes:]]
    if sorted(places) != list(range(axes)):
        return field if field.windowed else None
    return field._replace(axes=tuple(field.axes[place] for place in places))


def _padded(field: Field, pad: Sequence[int]) -> Field:
    """Return the field after padding, which sees nothing; `pad` begins with both ends of the last axis."""
    count = len(field.axes)
    ends = [tuple(pad[2 * place : 2 * place + 2]) or (0, 0) for place in range(count - 1, -1, -1)]
    seen = (axis.seen and axis.seen.padded(*map(int, end)) for axis, end in zip(field.axes, ends, strict=True))
    return field._replace(axes=tuple(axis._replace(seen=span) for axis, span in zip(field.axes, seen, strict=True)))


_WINDOWLESS = frozenset({"im2col", "col2im", "unfold", "roll", "slice", "narrow"})
"""Operators that shift positions or read windows of them."""


def _windowless(op: Op, field: Field | None, trace: Trace) -> Field | None:
    """Return the field after an operation that shifts positions, or reads windows of them, without a weight."""
    event = trace.events[op.index]
    shape = event.told.operand_shapes[0] if event.told.operand_shapes else ()
    if op.op in ("im2col", "col2im"):
        windows, extents, out = unfolding(op, shape) if op.op == "im2col" else folding(event.told.integers)
        return _through_window(windows, field, extents, out)
    if field is None and len(shape) < 3:
        return None
    if op.op == "unfold":
        field = field or _fresh(shape[1:2] if op.attributes["axis"] == 1 and len(shape) == 3 else shape[2:])
        axis = unfolded_axis(op, len(field.axes))
        return field if axis is None else _along_unfolded(field, axis, op, shape)
    field = field or _fresh(shape[2:])
    moved = roll_of(event, shape) if op.op == "roll" else kept_positions(event, shape)
    for place, (positions, step) in moved.items():
        axis = place - (len(shape) - len(field.axes))
        if len(shape) == len(field.axes) + 2 and axis >= 0:
            field = _moved(field, axis, positions, step)
    return field


def _moved(field: Field, axis: int, positions: torch.Tensor, step: int) -> Field:
    """Return the field after an axis changed: `positions` says which position each was before, -1 for none."""
    moved = field.axes[axis]
    seen = moved.seen and moved.seen.through([positions], len(positions))
    return field._replace(axes=_with(field.axes, axis, moved._replace(jump=moved.jump * step, seen=seen)))


def _along_unfolded(field: Field, axis: int, op: Op, shape: Sequence[int]) -> Field:
    """Return the field after `Tensor.unfold`, which reads windows along one axis."""
    size, step = op.attributes["size"], op.attributes["step"]
    extent, out = shape[op.attributes["axis"]], op.shapes[0][op.attributes["axis"]]
    after = _through_axis(Window(size, step, 1, 0, False), field.axes[axis], extent, out)
    return Field(_with(field.axes, axis, after), windowed=True)


def _with(axes: tuple[Axis, ...], place: int, axis: Axis) -> tuple[Axis, ...]:
    return (*axes[:place], axis, *axes[place + 1 :])


def _join(fields: list[Field]) -> Field | None:
    """Return the field where branches meet: from the first to the last position that one of them sees."""
    if len(fields) < 2:
        return fields[0] if fields else None
    axes = _of_each(zip(*(field.axes for field in fields), strict=False), _joined_axis)
    return Field(axes, all(field.windowed for field in fields))


def _of_each(parts: Iterable[_Parts], make: Callable[[_Parts], Axis]) -> tuple[Axis, ...]:
    """Return what `make` makes of the parts of each axis: once for equal parts, as the axes of a square map have."""
    made: dict[_Parts, Axis] = {}
    return tuple(made[each] if each in made else made.setdefault(each, make(each)) for each in parts)


def _joined_axis(axes: Sequence[Axis]) -> Axis:
    if all(axis is axes[0] for axis in axes):
        return axes[0]
    seen = joined([axis.seen for axis in axes])
    extent = max(seen.widest if seen else 0, *(axis.extent for axis in axes))
    return Axis(extent, max(axis.jump for axis in axes), seen)


def _through_window(
    windows: Sequence[Window], before: Field | None, extents: Sequence[int] | None, shape: Sequence[int]
) -> Field:
    """Return the field after windows over a map of `extents`, whose result has `shape`."""
    count = len(windows)
    if before is None or len(before.axes) != count:
        if before is not None and all(window.is_point for window in windows):
            return before  # of a map with another layout
        before = _fresh(extents) if extents else Field((Axis(),) * count)
    axes = zip(windows, before.axes, extents or (None,) * count, shape[-count:], strict=True)
    return Field(_of_each(axes, lambda each: _through_axis(*each)), windowed=True)


def _through_axis(window: Window, before: Axis, extent: int | None, out: int) -> Axis:
    reach = window.reach if extent is None else window.reach_on(extent, out)
    jump = before.jump / window.stride if window.transposed else before.jump * window.stride
    return Axis(before.extent + reach * before.jump, jump, through(window, before.seen, extent, out))


def _windows(op: Op) -> list[Window]:
    kernel, stride = op.attributes["kernel"], op.attributes["stride"]
    dilation, padding = op.attributes.get("dilation", [1] * len(kernel)), op.attributes.get("padding", 0)
    before = [
        step * (size - 1) // 2 if padding == "same" else 0 if isinstance(padding, str | int) else padding[axis]
        for axis, (size, step) in enumerate(zip(kernel, dilation, strict=True))
    ]
    transposed = op.kind == "conv_transpose"
    return [Window(*each, transposed) for each in zip(kernel, stride, dilation, before, strict=True)]
