"""Recognises windows and shifts that are written without a convolution: `unfold` and `fold`, `roll`, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from archcheck.facts.records import Op
from archcheck.measure.passes.event import Event
from archcheck.measure.shapes.layer_shapes import conv_extent
from archcheck.measure.structure.window_spans import Window

Moved = Mapping[int, tuple[torch.Tensor, int]]
"""By axis: the earlier position of each position of the result, -1 across the border; and their step."""


def is_unfolded(op: Op) -> bool:
    """Whether an operation lays out the windows of a map, or adds them up again."""
    return op.op in ("im2col", "col2im", "unfold")


def unfolded_axis(op: Op, axes: int) -> int | None:
    """Return the axis of a map with `axes` axes of positions that `Tensor.unfold` reads along; `None` for another.

    Positions come after samples and channels, except in a sequence with channels last.
    """
    axis: int = op.attributes["axis"]
    if axis == 1 and axes == 1:
        return 0
    return axis - 2 if 2 <= axis < axes + 2 else None


def unfolding(op: Op, shape: Sequence[int]) -> tuple[list[Window], Sequence[int], list[int]]:
    """Return the windows of `F.unfold`, the extents of the map that they slide over, and their number per axis."""
    told, extents = op.attributes, shape[-2:]
    windows = [
        Window(*each, transposed=False)
        for each in zip(told["kernel"], told["stride"], told["dilation"], told["padding"], strict=True)
    ]
    return windows, extents, [_windows_on(extent, window) for extent, window in zip(extents, windows, strict=True)]


def folding(integers: Sequence[float]) -> tuple[list[Window], list[int], list[int]]:
    """Return the windows that `F.fold` adds up, their number per axis, and the extents of the map that they form."""
    out, kernel, dilation, padding, stride = (list(map(int, integers[at : at + 2])) for at in range(0, 10, 2))
    windows = [Window(*each, transposed=True) for each in zip(kernel, stride, dilation, padding, strict=True)]
    return windows, [_windows_on(extent, window) for extent, window in zip(out, windows, strict=True)], out


def _windows_on(extent: int, window: Window) -> int:
    return conv_extent(extent, window.kernel, window.stride, window.padding, window.dilation)


def roll_of(event: Event, shape: Sequence[int]) -> Moved:
    """Return how `roll` moves positions; those that cross the border see the far side, which is no neighbour."""
    told = list(map(int, event.told.integers))
    shifts, axes = told[: len(told) // 2], told[len(told) // 2 :]
    if len(told) % 2 or not axes:
        return {}  # without axes it moves numbers of all axes
    by: dict[int, int] = {}
    for shift, axis in zip(shifts, axes, strict=True):
        by[axis % len(shape)] = by.get(axis % len(shape), 0) + shift
    return {axis: (torch.arange(shape[axis], device="cpu") - _nearer(by[axis], shape[axis]), 1) for axis in by}


def _nearer(shift: int, extent: int) -> int:
    """Return the shorter shift with the same result."""
    shift %= max(1, extent)
    return shift - extent if 2 * shift > extent else shift


def kept_positions(event: Event, shape: Sequence[int]) -> Moved:
    """Return which positions a slice keeps."""
    axis, *told = map(int, event.told.integers)
    axis %= len(shape)
    step = told.pop() if event.op == "slice" and told else 1
    start = told[0] if len(told) > 1 else 0
    out = event.shapes[0][axis]
    start = min(max(start + shape[axis] if start < 0 else start, 0), shape[axis])
    return {axis: (torch.arange(out, device="cpu") * step + start, step)}
