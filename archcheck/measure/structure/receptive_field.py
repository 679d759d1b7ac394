"""The receptive field: how many input positions one position of a feature map depends on, per axis.

Cumulative along the graph: a window of extent k with dilation d and stride s over a map whose positions are
`jump` input positions apart adds (k - 1) * d * jump and multiplies the jump by s (Araujo, Norris and Sim,
"Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). Where branches join, the
largest field counts. As in that article, global pooling, which sees the whole map whatever its size, is left out, and a
field may be larger than the input. What names no window (sampling on a grid, an index) adds nothing.

A window may be spelled without a convolution (`shifts`): `unfold` is one, and where branches meet that were shifted by
slices, by `roll` or by padding, a position sees from the first to the last that one of them sees.

Taps that lie off the map add nothing: a window adds what its taps on the map span at the position where they span most.
Beside the sum, the first and the last input position that each position sees are followed as far as the operations
tell, for taps that fall off the map at different positions do not add up (`window_spans`). The smaller number holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
"""Operators whose positions are not the last axes, or whose taps data move."""


@dataclass(frozen=True, slots=True)
class Field:
    """Extent and jump of the positions of one map, in input positions per axis, and what each position sees.

    `windowed` says that a window made the map, so that its positions are known to be the last axes.
    """

    extent: tuple[float, ...]
    jump: tuple[float, ...]
    seen: tuple[Span | None, ...]
    windowed: bool = False


def receptive_field(ops: Sequence[Op], trace: Trace) -> Shape | None:
    """Return the field of the last live maps that windows made, the largest where branches end apart.

    `ops` and the events of `trace` have the same numbers. `None` without a window, and where attention lets every
    position see all others.
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
        ends[op.index] = {op.index} if _is_window(op) else _passed(op, ends)
    last = set().union(*(ends.get(index, set()) for index in _sinks(ops)))
    found = _join([fields[index] for index in last if index in fields])
    return None if found is None else tuple(map(_along_axis, found.extent, found.jump, found.seen))


def _along_axis(extent: float, jump: float, seen: Span | None) -> int:
    """Return the positions seen along an axis; an input that is seen whole may be smaller than the field.

    Whole is what leaves out less than a step to the next position: strides need not divide the input.
    """
    return round(extent if seen is None or seen.widest + jump > seen.whole else min(extent, seen.widest))


def _is_window(op: Op) -> bool:
    return (op.kind in _WINDOWS and "kernel" in op.attributes) or is_unfolded(op)


def _before(op: Op, fields: Mapping[int, Field], ops: Sequence[Op], trace: Trace) -> list[Field]:
    """Return the fields of what an operation reads; the input itself, beside maps of its size, sees itself."""
    known = [fields[index] for index in op.inputs if index in fields]
    sizes = {tuple(len(seen.first) for seen in field.seen if seen is not None) for field in known}
    for index in op.inputs if len(sizes) == 1 and () not in sizes else ():
        extents, axes = ops[index].shapes, len(next(iter(sizes)))
        if index not in fields and trace.dependent[index] and extents and extents[0][-axes:] in sizes:
            known.append(_fresh(extents[0][-axes:]))
    return known


def _passed(op: Op, ends: Mapping[int, set[int]]) -> set[int]:
    """Return the last windows before an operation."""
    if len(op.inputs) == 1:
        return ends.get(op.inputs[0], set())
    return set().union(*(ends.get(index, set()) for index in op.inputs))


def _sinks(ops: Sequence[Op]) -> set[int]:
    """Return the live operations that no live operation reads."""
    live = [op for op in ops if op.live and PART_OF not in op.attributes]
    return {op.index for op in live} - {index for op in live for index in op.inputs}


def _field(op: Op, before: list[Field], ops: Sequence[Op], trace: Trace) -> Field | None:
    field = _join(before)
    if op.op in _SPELLED:
        return _spelled(op, field, trace)
    if _is_window(op):
        return _through_window(_windows(op), field, _extents(op, trace), op.shapes[0])
    if op.kind == "pixel_shuffle":
        field = field or _fresh(ops[op.inputs[0]].shapes[0][-2:])
        before_it, after_it = ops[op.inputs[0]].shapes[0], op.shapes[0]
        return _rescaled(field, [after / before for after, before in zip(after_it[-2:], before_it[-2:], strict=True)])
    if field is None and op.kind == "pad" and op.inputs and len(op.shapes[0]) > 2:
        field = _fresh(ops[op.inputs[0]].shapes[0][2:])  # what is padded is no part of the input
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
    ones = (1.0,) * len(extents)
    return Field(ones, ones, tuple(Span.of_input(extent) for extent in extents))


def _extents(op: Op, trace: Trace) -> tuple[int, ...] | None:
    """Return the extents of the map that a window slides over; `None` where they are not its last axes."""
    shapes, axes = trace.events[op.index].told.operand_shapes, len(op.attributes["kernel"])
    return shapes[0][-axes:] if shapes and op.op not in _UNPLACED else None


def _rescaled(field: Field, scale: Sequence[float]) -> Field:
    """Positions move into channels, or back: where they become fewer, one holds what several saw."""
    held = [max(1.0, 1 / factor) - 1 for factor in scale]
    return Field(
        tuple(extent + held[i] * field.jump[i] for i, extent in enumerate(field.extent)),
        tuple(jump / scale[i] for i, jump in enumerate(field.jump)),
        tuple(seen and seen.rescaled(factor) for seen, factor in zip(field.seen, scale, strict=False)),
        windowed=True,
    )


def _interpolated(field: Field, op: Op) -> Field:
    """Linear interpolation reads the two nearest positions along an axis, cubic four."""
    reach = 3 if "cubic" in op.op else 1 if "linear" in op.op else 0
    scale = op.attributes["scale"]
    axes = range(len(field.extent))
    return Field(
        tuple(extent + reach * field.jump[i] for i, extent in enumerate(field.extent)),
        tuple(jump / scale[i] for i, jump in enumerate(field.jump)),
        tuple(seen and seen.interpolated(op.shapes[0][i - len(axes)], reach) for i, seen in enumerate(field.seen)),
        field.windowed,
    )


def _permuted(field: Field, order: Sequence[int]) -> Field | None:
    """The last axes of a map change places; where others come among them, the field of a window stays as it is."""
    axes = len(field.extent)
    places = [source - (len(order) - axes) for source in order[-axes:]]
    if sorted(places) != list(range(axes)):
        return field if field.windowed else None
    extent, jump, seen = ([each[place] for place in places] for each in (field.extent, field.jump, field.seen))
    return Field(tuple(extent), tuple(jump), tuple(seen), field.windowed)  # type: ignore[arg-type]


def _padded(field: Field, pad: Sequence[int]) -> Field:
    """Positions that are padded see nothing; `pad` begins with both ends of the last axis."""
    axes = len(field.seen)
    ends = [tuple(pad[2 * place : 2 * place + 2]) or (0, 0) for place in range(axes - 1, -1, -1)]
    seen = tuple(each and each.padded(*map(int, end)) for each, end in zip(field.seen, ends, strict=True))
    return replace(field, seen=seen)


_SPELLED = frozenset({"im2col", "col2im", "unfold", "roll", "slice", "narrow"})
"""Operators that shift positions or read windows of them."""


def _spelled(op: Op, field: Field | None, trace: Trace) -> Field | None:
    """Return the field behind an operation that shifts positions, or reads windows of them, without a weight."""
    event = trace.events[op.index]
    shape = event.told.operand_shapes[0] if event.told.operand_shapes else ()
    if op.op in ("im2col", "col2im"):
        windows, extents, out = unfolding(op, shape) if op.op == "im2col" else folding(event.told.integers)
        return _through_window(windows, field, extents, out)
    if field is None and len(shape) < 3:
        return None
    if op.op == "unfold":
        field = field or _fresh(shape[1:2] if op.attributes["axis"] == 1 and len(shape) == 3 else shape[2:])
        axis = unfolded_axis(op, len(field.extent))
        return field if axis is None else _along_unfolded(field, axis, op, shape)
    field = field or _fresh(shape[2:])
    moved = roll_of(event, shape) if op.op == "roll" else kept_positions(event, shape)
    for place, (positions, step) in moved.items():
        axis = place - (len(shape) - len(field.extent))
        if len(shape) == len(field.extent) + 2 and axis >= 0:
            field = _moved(field, axis, positions, step)
    return field


def _moved(field: Field, axis: int, positions: torch.Tensor, step: int) -> Field:
    """The positions of an axis become others: each of `positions` says which one it was, -1 none."""
    seen, jump = list(field.seen), list(field.jump)
    span = seen[axis]
    seen[axis] = span and span.through([positions], len(positions))
    jump[axis] *= step
    return replace(field, jump=tuple(jump), seen=tuple(seen))


def _along_unfolded(field: Field, axis: int, op: Op, shape: Sequence[int]) -> Field:
    """`Tensor.unfold` reads windows along one axis."""
    size, step = op.attributes["size"], op.attributes["step"]
    extent, out = shape[op.attributes["axis"]], op.shapes[0][op.attributes["axis"]]
    one = Field(field.extent[axis : axis + 1], field.jump[axis : axis + 1], field.seen[axis : axis + 1])
    after = _through_window([Window(size, step, 1, 0, False)], one, [extent], [out])
    return Field(
        (*field.extent[:axis], *after.extent, *field.extent[axis + 1 :]),
        (*field.jump[:axis], *after.jump, *field.jump[axis + 1 :]),
        (*field.seen[:axis], *after.seen, *field.seen[axis + 1 :]),
        windowed=True,
    )


def _join(fields: list[Field]) -> Field | None:
    """Where branches meet, a position sees from the first to the last that one of them saw."""
    if len(fields) < 2:
        return fields[0] if fields else None
    axes = range(min(len(field.extent) for field in fields))
    seen = tuple(joined([field.seen[i] for field in fields]) for i in axes)
    return Field(
        tuple(max(span.widest if span else 0, *(field.extent[i] for field in fields)) for i, span in enumerate(seen)),
        tuple(max(field.jump[i] for field in fields) for i in axes),
        seen,
        all(field.windowed for field in fields),
    )


def _through_window(
    windows: Sequence[Window], before: Field | None, extents: Sequence[int] | None, shape: Sequence[int]
) -> Field:
    """Return the field behind windows over a map of `extents`, whose result has `shape`."""
    if before is not None and len(before.extent) != len(windows) and all(each.is_point for each in windows):
        return before  # of a map that was laid out in another way
    if before is None or len(before.extent) != len(windows):
        ones = (1.0,) * len(windows)
        before = _fresh(extents) if extents else Field(ones, ones, (None,) * len(windows))
    reach, jump, seen = [], [], []
    for axis, window in enumerate(windows):
        out = shape[axis - len(windows)]
        extent = extents[axis] if extents else None
        reach.append((window.reach if extent is None else window.reach_on(extent, out)) * before.jump[axis])
        jump.append(before.jump[axis] / window.stride if window.transposed else before.jump[axis] * window.stride)
        seen.append(through(window, before.seen[axis], extent, out))
    return Field(tuple(map(sum, zip(before.extent, reach, strict=True))), tuple(jump), tuple(seen), windowed=True)


def _windows(op: Op) -> list[Window]:
    kernel, stride = op.attributes["kernel"], op.attributes["stride"]
    dilation, padding = op.attributes.get("dilation", [1] * len(kernel)), op.attributes.get("padding", 0)
    before = [
        step * (size - 1) // 2 if padding == "same" else 0 if isinstance(padding, str | int) else padding[axis]
        for axis, (size, step) in enumerate(zip(kernel, dilation, strict=True))
    ]
    transposed = op.kind == "conv_transpose"
    return [Window(*each, transposed) for each in zip(kernel, stride, dilation, before, strict=True)]
