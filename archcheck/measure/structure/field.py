"""The receptive field: how many input positions one position of a feature map depends on, per axis.

Cumulative along the graph: a window of extent k with dilation d and stride s over a map whose positions are
`jump` input positions apart adds (k - 1) * d * jump and multiplies the jump by s (Araujo, Norris and Sim,
"Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). Where branches join, the
largest field counts. As in that article, padding changes nothing, and global pooling, which sees the whole map
whatever its size, is left out. What names no window (strided slices, sampling on a grid) adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archcheck.parts import Op, Shape

_WINDOWS = ("conv", "global_conv", "conv_transpose", "max_pool", "avg_pool")
_GLOBAL = ("attention", "matmul")  # products of activations with one another


@dataclass(frozen=True, slots=True)
class Field:
    """Extent and jump of the positions of one map, in input positions per axis."""

    extent: tuple[float, ...]
    jump: tuple[float, ...]


def receptive_field(ops: Sequence[Op]) -> Shape | None:
    """Return the field of the last live maps that windows made, the largest where branches end apart.

    `None` without a window, and where attention lets every position see all others.
    """
    fields: dict[int, Field] = {}
    ends: dict[int, set[int]] = {}
    for op in ops:
        if not op.live:
            continue
        if op.kind in _GLOBAL:
            return None
        before = [fields[index] for index in op.inputs if index in fields]
        field = _field(op, before, ops)
        if field is not None:
            fields[op.index] = field
        ends[op.index] = {op.index} if op.kind in _WINDOWS and "kernel" in op.attributes else _passed(op, ends)
    last = set().union(*(ends.get(index, set()) for index in _sinks(ops)))
    joined = _join([fields[index] for index in last if index in fields])
    return None if joined is None else tuple(round(extent) for extent in joined.extent)


def _passed(op: Op, ends: Mapping[int, set[int]]) -> set[int]:
    """Return the last windows before an operation."""
    if len(op.inputs) == 1:
        return ends.get(op.inputs[0], set())
    return set().union(*(ends.get(index, set()) for index in op.inputs))


def _sinks(ops: Sequence[Op]) -> set[int]:
    """Return the live operations that no live operation reads."""
    live = [op for op in ops if op.live]
    return {op.index for op in live} - {index for op in live for index in op.inputs}


def _field(op: Op, before: list[Field], ops: Sequence[Op]) -> Field | None:
    field = _join(before)
    if op.kind in _WINDOWS and "kernel" in op.attributes:
        axes = len(op.attributes["kernel"])
        return _through_window(op, field or Field((1.0,) * axes, (1.0,) * axes))
    if op.kind == "pixel_shuffle":
        field = field or Field((1.0, 1.0), (1.0, 1.0))
        before_it, after_it = ops[op.inputs[0]].shapes[0], op.shapes[0]
        return _rescaled(field, [after / before for after, before in zip(after_it[-2:], before_it[-2:], strict=True)])
    if op.kind == "upsample" and field is not None and op.attributes.get("scale"):
        return _interpolated(field, op)
    return field


def _rescaled(field: Field, scale: Sequence[float]) -> Field:
    """Positions move into channels, or back: where they become fewer, one holds what several saw."""
    held = [max(1.0, 1 / factor) - 1 for factor in scale]
    return Field(
        tuple(extent + held[i] * field.jump[i] for i, extent in enumerate(field.extent)),
        tuple(jump / scale[i] for i, jump in enumerate(field.jump)),
    )


def _interpolated(field: Field, op: Op) -> Field:
    """Linear interpolation reads the two nearest positions along an axis, cubic four."""
    reach = 3 if "cubic" in op.op else 1 if "linear" in op.op else 0
    scale = op.attributes["scale"]
    return Field(
        tuple(extent + reach * field.jump[i] for i, extent in enumerate(field.extent)),
        tuple(jump / scale[i] for i, jump in enumerate(field.jump)),
    )


def _join(fields: list[Field]) -> Field | None:
    """Where branches meet, a position sees what either saw."""
    if len(fields) < 2:
        return fields[0] if fields else None
    axes = min(len(field.extent) for field in fields)
    return Field(
        tuple(max(field.extent[i] for field in fields) for i in range(axes)),
        tuple(max(field.jump[i] for field in fields) for i in range(axes)),
    )


def _through_window(op: Op, before: Field) -> Field:
    kernel, stride = op.attributes["kernel"], op.attributes["stride"]
    dilation = op.attributes.get("dilation", [1] * len(kernel))
    if len(before.extent) != len(kernel):
        before = Field((1.0,) * len(kernel), (1.0,) * len(kernel))
    axes = range(len(kernel))
    if op.kind == "conv_transpose":
        # Each output position reads ceil(extent / stride) neighbours of the smaller map.
        reach = [math.ceil(((kernel[i] - 1) * dilation[i] + 1) / stride[i]) for i in axes]
        return Field(
            tuple(before.extent[i] + (reach[i] - 1) * before.jump[i] for i in axes),
            tuple(before.jump[i] / stride[i] for i in axes),
        )
    return Field(
        tuple(before.extent[i] + (kernel[i] - 1) * dilation[i] * before.jump[i] for i in axes),
        tuple(before.jump[i] * stride[i] for i in axes),
    )
