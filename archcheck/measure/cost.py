"""Multiply-accumulates of single operations: one fused multiply-add is one, bias and elementwise work is none.

The convention is that of published tables for convolution, linear, matrix products and attention. A known
operation without such products costs 0; an unknown one has no cost (`None`) and is named in the report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch

from archcheck.measure.arguments import Call
from archcheck.measure.vocabulary import FREE, KINDS, base_name, is_listed

_MULTIPLYING = frozenset({"conv", "conv_transpose", "linear", "bilinear", "matmul", "attention", "lstm", "gru", "rnn"})
_FORMULAS: dict[str, Callable[[Call, torch.Tensor], int | None]] = {}


def multiply_accumulates(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> int | None:
    """Return the multiply-accumulates of one call; `None` when the operation is unknown."""
    formula = _FORMULAS.get(base_name(name))
    if formula is None or not outputs:
        return 0 if _is_free(name) else None
    try:
        return formula(call, outputs[0])
    except (KeyError, StopIteration, AttributeError):  # an overload that takes other arguments
        return None


@cache
def _is_free(name: str) -> bool:
    if KINDS.get(base_name(name)) in _MULTIPLYING:
        return False
    if is_listed(name) or name in FREE or base_name(name) in FREE:
        return True
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(
        torch.Tag.pointwise in getattr(packet, overload).tags or _is_view(getattr(packet, overload))
        for overload in packet.overloads()
    )


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(value.alias_info is not None and not value.alias_info.is_write for value in returns)


def _costs(*names: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        _FORMULAS.update(dict.fromkeys(names, function))
        return function

    return register


def _elements(sizes: Iterable[int]) -> int:
    return math.prod(map(int, sizes))


@_costs("linear")
def _linear(call: Call, out: torch.Tensor) -> int:
    return out.numel() * int(call["weight"].shape[-1])


@_costs("conv1d", "conv2d", "conv3d", "convolution", "torchvision::deform_conv2d")
def _conv(call: Call, out: torch.Tensor) -> int:
    weight = call["weight"]
    if call.get("transposed"):
        return int(call["input"].numel()) * _elements(weight.shape[1:])
    return out.numel() * _elements(weight.shape[1:])


@_costs("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(call: Call, out: torch.Tensor) -> int:
    # Every input element is multiplied with the kernel of every output channel of its group.
    return int(call["input"].numel()) * _elements(call["weight"].shape[1:])


@_costs("mm", "bmm", "matmul", "mv", "dot", "vdot", "inner", "linalg_vecdot")
def _matmul(call: Call, out: torch.Tensor) -> int:
    return out.numel() * int(call["self"].shape[-1])


@_costs("addmm", "baddbmm", "addmv", "addbmm")
def _addmm(call: Call, out: torch.Tensor) -> int:
    left = next(call[key] for key in ("mat1", "batch1", "mat") if key in call)
    batch = left.shape[0] if "batch1" in call and left.dim() == 3 and out.dim() == 2 else 1
    return out.numel() * int(left.shape[-1]) * int(batch)


@_costs("outer")
def _outer(call: Call, out: torch.Tensor) -> int:
    return out.numel()


@_costs("_grouped_mm")
def _grouped(call: Call, out: torch.Tensor) -> int:
    return int(call["self"].numel()) * int(call["mat2"].shape[-1])


@_costs("tensordot")
def _tensordot(call: Call, out: torch.Tensor) -> int:
    return out.numel() * _elements(call["self"].shape[axis] for axis in call["dims_self"])


@_costs("bilinear")
def _bilinear(call: Call, out: torch.Tensor) -> int:
    return (out.numel() // out.shape[-1]) * int(call["weight"].numel())


@_costs("scaled_dot_product_attention")
def _attention(call: Call, out: torch.Tensor) -> int:
    query, key, value = call["query"], call["key"], call["value"]
    rows = query.numel() // query.shape[-1]
    return int(rows * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


@_costs("einsum")
def _einsum(call: Call, out: torch.Tensor) -> int | None:
    """The product of all index sizes, which is what one contraction of two operands costs."""
    operands = call["tensors"]
    left = call["equation"].replace(" ", "").partition("->")[0].split(",")
    if len(operands) == 1:
        return 0
    if len(operands) != 2:
        return None
    sizes: dict[object, int] = {}
    for letters, operand in zip(left, operands, strict=True):
        for index, size in zip(_indices(letters, operand.dim()), operand.shape, strict=True):
            sizes[index] = max(sizes.get(index, 1), int(size))
    return math.prod(sizes.values())


def _indices(letters: str, axes: int) -> list[object]:
    """Return one index an axis; those of an ellipsis are counted from its end, where broadcasting aligns them."""
    before, dots, after = letters.partition("...")
    hidden = axes - len(before) - len(after) if dots else 0
    return [*before, *range(-hidden, 0), *after]


@_costs("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(call: Call, out: torch.Tensor) -> int:
    # Every step multiplies each weight matrix of every layer and direction once.
    steps = call["data"].shape[0] if "data" in call else call["input"].numel() // call["input"].shape[-1]
    return int(steps) * sum(int(weight.numel()) for weight in call["params"] if weight.dim() == 2)


@_costs("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(call: Call, out: torch.Tensor) -> int:
    rows = call["input"].numel() // call["input"].shape[-1]
    return int(rows) * int(call["w_ih"].numel() + call["w_hh"].numel())
