"""The shapes of the results of common operations, without torch's meta kernels.

Torch's own meta kernels are exact, too, but the first one imports a compiler and a computer algebra system: two seconds
and 80 MB for a network that runs in a millisecond. This module has the rules of operations on plain tensors. Those of
layers are in `layer_shapes`, and what both share is in `shape_rules`.
"""

from __future__ import annotations

import torch

from archcheck.measure.shapes import layer_shapes
from archcheck.measure.shapes.arguments import Call, per_axis
from archcheck.measure.shapes.shape_rules import (
    RULES,
    Answer,
    broadcast,
    expect,
    first_tensor,
    layout_of,
    like,
    new,
    rule,
)

__all__ = ["RULES", "broadcast", "layer_shapes"]


@rule("matmul")
def _matmul(call: Call) -> Answer:
    left, right = call["self"], call["other"]
    if left.dim() < 2 or right.dim() < 2 or left.shape[-1] != right.shape[-2] or left.dtype != right.dtype:
        return None
    return new((*broadcast(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1]), left)


def _product(left: torch.Tensor, right: torch.Tensor, *, axes: int) -> Answer:
    if left.dim() != axes or right.dim() != axes or left.dtype != right.dtype:
        return None
    if left.shape[-1] != right.shape[-2] or left.shape[:-2] != right.shape[:-2]:
        return None
    return new((*left.shape[:-1], right.shape[-1]), left)


rule("mm")(lambda call: _product(call["self"], call["mat2"], axes=2))
rule("bmm")(lambda call: _product(call["self"], call["mat2"], axes=3))


@rule("_scaled_grouped_mm", "_scaled_grouped_mm_v2")
def _scaled_grouped(call: Call) -> Answer:
    """Scaled products have the dtype bfloat16 by default."""
    answer: Answer = _grouped({**call, "out_dtype": call.get("out_dtype") or torch.bfloat16})
    return answer


@rule("_grouped_mm")
def _grouped(call: Call) -> Answer:
    """Groups are rows of the left side, columns of the right one, parts of the shared axis, or an axis of both."""
    left, right, offsets, bias = call["self"], call["mat2"], call.get("offs"), call.get("bias")
    if left.dtype != right.dtype or left.shape[-1] != right.shape[-2] or bias is not None:
        return None
    axes = left.dim(), right.dim()
    if axes == (3, 3) and offsets is None and left.shape[0] == right.shape[0]:
        groups: tuple[int, ...] = (left.shape[0],)
    elif axes == (2, 2) and offsets is not None:
        groups = (offsets.shape[0],)
    elif axes in ((2, 3), (3, 2)) and offsets is not None and len(offsets) == len(left if left.dim() == 3 else right):
        groups = ()
    else:
        return None
    return new((*groups, left.shape[-2], right.shape[-1]), left, call.get("out_dtype"))


@rule("addmm")
def _addmm(call: Call) -> Answer:
    bias, left, right = call["self"], call["mat1"], call["mat2"]
    if left.shape[1] != right.shape[0] or bias.shape[-1:] != right.shape[1:] or left.dtype != right.dtype:
        return None
    return new((left.shape[0], right.shape[1]), left)


@rule(
    "clone", "neg", "flip", "zeros_like", "ones_like", "empty_like", "full_like", "dropout",
    "feature_dropout", "alpha_dropout", "feature_alpha_dropout",
)  # fmt: skip
def _same(call: Call) -> Answer:
    return None if call.get("memory_format") is not None else like(first_tensor(call), call.get("dtype"))


@rule("roll")
def _roll(call: Call) -> Answer:
    return new(call["self"].shape, call["self"], memory_format=layout_of(call["self"]))


@rule("tril", "triu")
def _triangle(call: Call) -> Answer:
    return new(call["self"].shape, call["self"])


@rule(
    "relu", "gelu", "silu", "elu", "leaky_relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "mish", "selu",
    "celu", "softplus", "abs", "sigmoid", "tanh", "exp", "sqrt", "rsqrt", "erf", "log", "cos", "sin",
    "square", "rand_like", "randn_like",
)  # fmt: skip
def _same_floating(call: Call) -> Answer:
    x = first_tensor(call)
    if not x.dtype.is_floating_point or call.get("memory_format") is not None:
        return None  # other dtypes are promoted or refused
    return like(x, call.get("dtype"))


@rule("clamp", "pow")
def _bounded_by_numbers(call: Call) -> Answer:
    x = call["self"]
    others = (call.get("min"), call.get("max"), call.get("exponent"))
    if not isinstance(x, torch.Tensor) or not x.dtype.is_floating_point:
        return None
    return None if any(isinstance(other, torch.Tensor | complex) for other in others) else like(x)


@rule("softmax", "log_softmax", "log_sigmoid")
def _softmax(call: Call) -> Answer:
    x, dim = first_tensor(call), call.get("dim", -1)
    if not x.dtype.is_floating_point or not -x.dim() <= dim < max(1, x.dim()):
        return None
    return new(x.shape, x, call.get("dtype"))


@rule("add", "sub", "mul", "div", "rsub", "maximum", "minimum")
def _binary(call: Call) -> Answer:
    left, right = call["self"], call["other"]
    if not isinstance(left, torch.Tensor) or not left.dtype.is_floating_point:
        return None
    if not isinstance(right, torch.Tensor):
        return None if isinstance(right, complex) else like(left)
    if left.dtype != right.dtype or call.get("rounding_mode") is not None:
        return None
    if left.shape == right.shape:
        return like(left)
    shape = broadcast(left.shape, right.shape)
    # An operand with the shape of the result also determines the order of its axes in memory.
    whole = next((operand for operand in (left, right) if operand.shape == shape), None)
    return new(shape, left) if whole is None else like(whole)


@rule("eq", "ne", "lt", "gt", "le", "ge")
def _compare(call: Call) -> Answer:
    left, right = call["self"], call["other"]
    if left.dtype.is_complex:
        return None
    shape = broadcast(left.shape, right.shape) if isinstance(right, torch.Tensor) else left.shape
    return like(left, torch.bool) if shape == left.shape else new(shape, left, torch.bool)


@rule("mean", "sum", "amax", "amin")
def _reduce(call: Call) -> Answer:
    x, dims = call["self"], call.get("dim")
    given = per_axis(dims, 1) if dims not in (None, [], ()) else tuple(range(x.dim()))
    if not x.dtype.is_floating_point or any(not -x.dim() <= axis < x.dim() for axis in given):
        return None
    axes = {axis % x.dim() for axis in given}
    sizes = enumerate(x.shape)
    if call.get("keepdim"):
        return new([1 if axis in axes else size for axis, size in sizes], x, call.get("dtype"))
    return new([size for axis, size in sizes if axis not in axes], x, call.get("dtype"))


@rule("cat", "concat", "concatenate")
def _cat(call: Call) -> Answer:
    tensors, dim = call["tensors"], call["dim"]
    first = tensors[0]
    if not isinstance(dim, int) or any(t.dtype != first.dtype or t.dim() != first.dim() for t in tensors):
        return None
    axis = dim % first.dim()
    for tensor in tensors:
        others = [size for i, size in enumerate(tensor.shape) if i != axis]
        wanted = [size for i, size in enumerate(first.shape) if i != axis]
        expect(others == wanted, f"tensors of shapes {[tuple(t.shape) for t in tensors]} cannot be joined along {dim}")
    shape = list(first.shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return new(shape, first, memory_format=_common_layout(tensors))


def _common_layout(tensors: list[torch.Tensor]) -> torch.memory_format:
    layouts = {layout_of(tensor) for tensor in tensors}
    return layouts.pop() if len(layouts) == 1 else torch.contiguous_format


@rule("stack")
def _stack(call: Call) -> Answer:
    tensors = call["tensors"]
    first = tensors[0]
    if any(tensor.dtype != first.dtype or tensor.shape != first.shape for tensor in tensors):
        return None
    shape = list(first.shape)
    shape.insert(call["dim"] % (first.dim() + 1), len(tensors))
    return new(shape, first)


@rule("constant_pad_nd", "pad")
def _pad(call: Call) -> Answer:
    x, pad = call["self"], call["pad"]
    if len(pad) > 2 * x.dim():
        return None
    shape = list(x.shape)
    for axis in range(len(pad) // 2):
        shape[-1 - axis] += pad[2 * axis] + pad[2 * axis + 1]
    if min(shape, default=0) < 0:
        return None
    return new(shape, x, memory_format=layout_of(x))


@rule("where")
def _where(call: Call) -> Answer:
    x, y = call.get("self"), call.get("other")
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or x.dtype != y.dtype:
        return None
    shape = broadcast(call["condition"].shape, x.shape, y.shape)
    return like(x) if x.shape == shape else new(shape, x)


@rule("linalg_svdvals", "linalg_eigvalsh")
def _spectrum(call: Call) -> Answer:
    # Torch's kernels also compute the vectors if the tensor is of a subclass, such as one without values.
    matrix = first_tensor(call)
    if matrix.dim() < 2 or matrix.dtype not in (torch.float32, torch.float64):
        return None
    return new((*matrix.shape[:-2], min(matrix.shape[-2:])), matrix)
