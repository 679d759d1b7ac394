"""The receptive field: how many input positions one position of a feature map depends on, per axis.

Cumulative along the graph: a window of extent k with dilation d and stride s over a map whose positions are
`jump` input positions apart adds (k - 1) * d * jump and multiplies the jump by s (Araujo, Norris and Sim,
"Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). Where branches join, the
largest field counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archcheck.facts import Op, Shape

_WINDOWS = ("conv", "max_pool", "avg_pool")


@dataclass(frozen=True, slots=True)
class Field:
    """Extent and jump of the positions of one map, in input positions per axis."""

    extent: tuple[float, ...]
    jump: tuple[float, ...]


def receptive_field(ops: Sequence[Op]) -> Shape | None:
    """Return the field of the last live map that a convolution or a local pooling made, `None` without one."""
    fields: dict[int, Field] = {}
    last: Field | None = None
    for op in ops:
        before = [fields[index] for index in op.inputs if index in fields]
        field = _field(op, before)
        if field is None:
            continue
        fields[op.index] = field
        if op.live and op.kind in _WINDOWS:
            last = field
    return None if last is None else tuple(round(extent) for extent in last.extent)


def _field(op: Op, before: list[Field]) -> Field | None:
    if op.kind in _WINDOWS and "kernel" in op.attributes:
        axes = len(op.attributes["kernel"])
        return _through_window(op, _join(before) or Field((1.0,) * axes, (1.0,) * axes))
    return _join(before)


def _join(fields: list[Field]) -> Field | None:
    """Where branches meet, a position sees what either saw."""
    if not fields:
        return None
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
    return Field(
        tuple(before.extent[i] + (kernel[i] - 1) * dilation[i] * before.jump[i] for i in axes),
        tuple(before.jump[i] * stride[i] for i in axes),
    )
