"""Multiply-accumulates of single operations: a fused multiply-add counts one, bias and elementwise work count none.

Published tables count convolution, linear, matrix products and attention in this way. A sparse matrix multiplies by
its stored elements (see `sparse_cost`). Where the number of products depends on the algorithm, as in Fourier transforms
and linear algebra, a stated formula gives it (see `numerical_cost`). A known operation without products costs 0 (see
`free_operators`). An unknown one has no cost (`None`), and the report names it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from archcheck.facts.operator_costs import RESULT, Stated, check_cost, check_operator, macs_of
from archcheck.facts.records import Shape
from archcheck.foundation.errors import SubjectError
from archcheck.measure.operators.attention_cost import ATTENTION
from archcheck.measure.operators.einsum_cost import contraction_macs
from archcheck.measure.operators.free_operators import is_free
from archcheck.measure.operators.numerical_cost import FORMULAS, costs
from archcheck.measure.operators.sparse_cost import is_sparse, product_macs, stored
from archcheck.measure.operators.vocabulary import QUANTIZED, base_name
from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.packed import opened, shape_of
from archcheck.measure.shapes.shape_rules import broadcast

FORMULAS.update(ATTENTION)


def multiply_accumulates(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> int | None:
    """Return the multiply-accumulates of one call, `None` if the operation is unknown."""
    formula = FORMULAS.get(base_name(name))
    if formula is None or not outputs:
        return 0 if is_free(name) else None
    try:
        return formula(opened(call) if "quantized" in name else call, outputs[0])
    except (KeyError, StopIteration, AttributeError):  # an overload that takes other arguments
        return None


def checked_costs(stated: Mapping[str, Stated]) -> Mapping[str, Stated]:
    """Return the costs that the contract states by operator.

    Raises:
        SubjectError: a name or a cost is invalid, or archcheck knows the cost of the operator.
    """
    for name, cost in stated.items():
        try:
            check_operator(name)
            check_cost(cost)
        except ValueError as error:
            raise SubjectError("costs", f"the stated cost of `{name}`: {error}") from None
        if base_name(name) in FORMULAS or is_free(name):
            raise SubjectError("costs", f"`costs` states `{name}`, whose cost archcheck knows; leave it out")
    return stated


def stated_macs(name: str, stated: Stated, roles: Sequence[str], extents: Sequence[Shape], out: Shape) -> int:
    """Return the stated multiply-accumulates of a call, from the names and shapes of its operands and first result.

    Raises:
        SubjectError: the formula does not fit the operator.
    """
    try:
        return macs_of(stated, {**dict(zip(roles, extents, strict=True)), RESULT: out})
    except ValueError as error:
        raise SubjectError("costs", f"the stated cost of `{name}` {error}") from None


def _quantized(kind: str) -> list[str]:
    return [name for name, meaning in QUANTIZED.items() if meaning == kind]


def _elements(sizes: Iterable[int]) -> int:
    return math.prod(map(int, sizes))


@costs("linear", *_quantized("linear"))
def _linear(call: Call, out: torch.Tensor) -> int:
    weight = call["weight"]
    if is_sparse(weight):  # every stored element meets every row of the input
        return stored(weight) * int(call["input"].numel() // max(1, weight.shape[-1]))
    return out.numel() * int(weight.shape[-1])


@costs(
    "conv1d", "conv2d", "conv3d", "convolution", "_convolution", "torchvision::deform_conv2d", *_quantized("conv")
)  # fmt: skip
def _conv(call: Call, out: torch.Tensor) -> int:
    if call.get("transposed"):
        return _conv_transpose(call, out)
    return out.numel() * _elements(call["weight"].shape[1:])


@costs("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", *_quantized("conv_transpose"))
def _conv_transpose(call: Call, out: torch.Tensor) -> int:
    # Every input element is multiplied with the kernel of every output channel of its group.
    return int(call["input"].numel()) * _elements(call["weight"].shape[1:])


@costs("convolution_backward")
def _conv_backward(call: Call, out: torch.Tensor) -> int:
    # The gradients of the input and of the weight take as many products each as the convolution.
    return _conv(call, call["grad_output"]) * sum(map(int, call["output_mask"][:2]))


@costs("conv_tbc")
def _conv_over_time(call: Call, out: torch.Tensor) -> int:
    return out.numel() * _elements(call["weight"].shape[:2])  # the weight is (kernel, in, out)


@costs(
    "mm", "bmm", "matmul", "mv", "dot", "vdot", "inner", "_int_mm", "_scaled_mm", "_scaled_mm_v2",
    "_weight_int8pack_mm", "_weight_int4pack_mm", "_weight_int4pack_mm_for_cpu",
    "_weight_int4pack_mm_with_scales_and_zeros",
)  # fmt: skip
def _matmul(call: Call, out: torch.Tensor) -> int:
    left, right = call["self"], next((call[key] for key in _RIGHT if key in call), None)
    if right is not None and is_sparse(left, right):
        return product_macs(left, right)
    return out.numel() * int(left.shape[-1])


_RIGHT = ("mat2", "other", "vec", "tensor")


@costs("_dyn_quant_matmul_4bit", "_mixed_dtypes_linear", "fbgemm_linear_int8_weight", "fbgemm_linear_fp16_weight")
def _packed_linear(call: Call, out: torch.Tensor) -> int:
    # Whatever the packing of the weight, each feature of the result takes a product with each input feature.
    return out.numel() * int(call["inp" if "inp" in call else "input"].shape[-1])


@costs("_foreach_mm")
def _products(call: Call, out: torch.Tensor) -> int:
    return sum(int(left.numel() * right.shape[-1]) for left, right in zip(call["self"], call["mat2"], strict=True))


@costs("_sparse_mm", "hspmm", "smm", "_sparse_sparse_matmul", "_sparse_mm_reduce_impl")
def _sparse_product(call: Call, out: torch.Tensor) -> int | None:
    left, right = tuple(tensors_in(call))[:2]
    return product_macs(left, right) if is_sparse(left, right) else None


@costs("sparse_sampled_addmm")
def _sampled_product(call: Call, out: torch.Tensor) -> int:
    # Only the elements that the sparse operand stores are computed.
    return stored(call["self"]) * int(call["mat1"].shape[-1])


@costs("addmm", "_addmm_activation", "baddbmm", "addmv", "addbmm", "_sparse_addmm", "sspaddmm")
def _addmm(call: Call, out: torch.Tensor) -> int:
    left = next(call[key] for key in ("mat1", "batch1", "mat") if key in call)
    right = next(call[key] for key in ("mat2", "batch2", "vec") if key in call)
    if is_sparse(left, right):
        return product_macs(left, right)
    batch = left.shape[0] if "batch1" in call and left.dim() == 3 and out.dim() == 2 else 1
    return out.numel() * int(left.shape[-1]) * int(batch)


@costs("outer", "ger", "addr")
def _outer(call: Call, out: torch.Tensor) -> int:
    return out.numel()


@costs("linalg_vecdot")
def _vecdot(call: Call, out: torch.Tensor) -> int:
    return _elements(broadcast(call["x"].shape, call["y"].shape))


@costs("_grouped_mm", "_scaled_grouped_mm", "_scaled_grouped_mm_v2")
def _grouped(call: Call, out: torch.Tensor) -> int:
    # Groups are rows of the left side, or parts of the axis that both sides share. If only the left side has groups,
    # they are columns of the right side, and each matrix of the left side is multiplied with its columns only.
    left, right = call["self"], call["mat2"]
    groups = int(left.shape[0]) if left.dim() > right.dim() else 1
    return int(left.numel()) * int(right.shape[-1]) // groups


@costs("tensordot")
def _tensordot(call: Call, out: torch.Tensor) -> int:
    return out.numel() * _elements(call["self"].shape[axis] for axis in call["dims_self"])


@costs("bilinear")
def _bilinear(call: Call, out: torch.Tensor) -> int:
    return (out.numel() // out.shape[-1]) * int(call["weight"].numel())


@costs("_trilinear")
def _trilinear(call: Call, out: torch.Tensor) -> int:
    """Return the product of all axes of the three operands, each stretched by its `expand` axes."""
    shapes = []
    for number in ("1", "2", "3"):
        shape = list(call["i" + number].shape)
        for axis in sorted(call["expand" + number]):
            shape.insert(axis, 1)
        shapes.append(shape)
    return _elements(broadcast(*shapes))


@costs("einsum")
def _einsum(call: Call, out: torch.Tensor) -> int:
    return contraction_macs(call["equation"], [tensor.shape for tensor in call["tensors"]], call.get("path"))


@costs("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def _bag(call: Call, out: torch.Tensor) -> int:
    # Rows that are only added take no product. Weighted rows are a product of a sparse matrix and the table.
    weights = call.get("per_sample_weights")
    return 0 if weights is None else int(weights.numel()) * int(call["weight"].shape[-1])


@costs("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(call: Call, out: torch.Tensor) -> int:
    # Every step multiplies each weight matrix of every layer and direction once.
    return _steps(call) * sum(int(weight.numel()) for weight in call["params"] if weight.dim() == 2)


@costs("mkldnn_rnn_layer")
def _recurrent_layer(call: Call, out: torch.Tensor) -> int:
    return _steps(call) * int(call["weight0"].numel() + call["weight1"].numel())


@costs("quantized_lstm", "quantized_gru")
def _quantized_recurrent(call: Call, out: torch.Tensor) -> int:
    """Return the products of packed weights: their sizes follow from the four gates of an LSTM, or three of a GRU."""
    is_pair = isinstance(call["hx"], list | tuple)
    state, source = call["hx"][0] if is_pair else call["hx"], call.get("data", call.get("input"))
    hidden, directions = int(state.shape[-1]), 2 if call["bidirectional"] else 1
    widths = [int(source.shape[-1])] + [hidden * directions] * (call["num_layers"] - 1)
    weights = directions * sum((4 if is_pair else 3) * hidden * (width + hidden) for width in widths)
    return _steps(call) * weights


def _steps(call: Call) -> int:
    source = call["data"] if "data" in call else call["input"]
    return int(source.numel() // source.shape[-1])


@costs("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell", *_quantized("cell"))
def _cell(call: Call, out: torch.Tensor) -> int:
    return _steps(call) * (_weights(call["w_ih"]) + _weights(call["w_hh"]))


def _weights(weight: Any) -> int:
    return int(weight.numel()) if isinstance(weight, torch.Tensor) else _elements(shape_of(weight)[0])
