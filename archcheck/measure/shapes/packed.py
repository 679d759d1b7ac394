"""Reads quantised weights, which torch keeps packed in its own objects instead of tensors."""

from __future__ import annotations

from typing import Any

import torch

from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.tensor import META

_HOLDERS = ("W_prepack", "packed_weight", "weight")
_INPUTS = ("X", "qx", "input")
_GEOMETRY = ("stride", "padding", "dilation", "groups")


def opened(call: Call) -> Call:
    """Return the call of a quantised layer under the names of the float one: `input`, `weight`, `bias`, strides.

    `weight` is a tensor without values. A call without a packed weight is returned unchanged.
    """
    holder: Any = next((call[key] for key in _HOLDERS if key in call), None)
    source = next((call[key] for key in _INPUTS if key in call), None)
    if not isinstance(holder, torch.ScriptObject) or source is None:
        return call
    shape, bias = shape_of(holder)
    if not hasattr(holder, "groups"):  # a linear layer
        return {**call, "input": source, "weight": torch.empty(shape, device=META), "bias": bias}
    geometry = {key: getattr(holder, key)() for key in _GEOMETRY}
    if len(shape) > source.dim():  # a 1-d convolution is packed as a 2-d one, whose first axis has size one
        del shape[2]
        geometry |= {key: geometry[key][1:] for key in ("stride", "padding", "dilation")}
    return {**call, "input": source, "weight": torch.empty(shape, device=META), "bias": bias} | geometry


def shape_of(holder: Any) -> tuple[list[int], Any]:
    """Return the shape of a packed weight, and its bias or `None`."""
    weight, bias = holder.unpack()
    return list(weight.shape), bias
