"""DeepSpeed's MACs: the products of functions of torch that its profiler replaces.

Norms, activations and recurrent layers are in its FLOPs, not in its MACs. A call that a formula does not take makes the
profiler fail, so that every replaced function is here. The formulas follow
`deepspeed/profiling/flops_profiler/profiler.py` of DeepSpeed 0.19.8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archcheck.facts.calls import Calls, Module, Outline
from archcheck.facts.conventions.counting import (
    Convention,
    Entry,
    Refused,
    Signature,
    applied,
    demand_hooks,
    demand_shape,
    elements,
    family,
    first_input,
)


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every call of a function that the profiler replaces and that multiplies."""
    if calls.failure is not None:
        raise Refused(f"DeepSpeed runs the model with gradients, and there it fails: {calls.failure}")
    demand_hooks(calls, "DeepSpeed")
    for call in calls.layers:
        module = calls.by_path[call.layer]
        if module.exactly in _RECURRENT and len(first_input(call, module)) < 2:
            raise Refused(f"DeepSpeed takes recurrent layers of a batch only, and `{call.layer}` has none")
    for call in calls.functions:
        if (formula := _FUNCTIONS.get(call.function)) is None:
            continue
        amount = applied(formula, call)
        if amount:
            yield Entry(layer=call.layer, operator=family(call.function), amount=amount, reason=_why(call.function))


_RECURRENT = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


def _why(function: str) -> str:
    if function.startswith("F.conv"):
        return "a convolution counts `in * (out // groups)` weights, at an output of sizes worked out by its own rule"
    return "a product counts by the shape of its left side"


def _linear(input: Outline, weight: Outline, bias: Outline = None) -> int:  # noqa: A002 - the name that callers use
    return elements(demand_shape(input)) * demand_shape(weight)[0]


def _each(value: Any, count: int) -> list[int]:
    """Return one number an axis; a list is taken for one number, and fails as it does there."""
    return list(value) if isinstance(value, list) else [value] * count


def _conv(
    input: Outline,  # noqa: A002
    weight: Outline,
    bias: Outline = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> int:
    given, kernel = demand_shape(input), demand_shape(weight)
    if kernel[1] * groups != given[1]:
        raise Refused("DeepSpeed takes convolutions of a batch only")
    extent, window = given[2:], kernel[2:]
    strides, dilations = _each(stride, len(extent)), _each(dilation, len(extent))
    if padding == "valid":
        padding = 0
    if padding == "same":
        padding = [step * (size - 1) // 2 for step, size in zip(dilations, window, strict=True)]
    paddings = _each(padding, len(extent))
    outputs = [
        (size + 2 * paddings[axis] - dilations[axis] * (window[axis] - 1) - 1) // strides[axis] + 1
        for axis, size in enumerate(extent)
    ]
    return elements(window) * given[1] * (kernel[0] // groups) * given[0] * elements(outputs)


def _conv_transpose(
    input: Outline,  # noqa: A002
    weight: Outline,
    bias: Outline = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> int:
    given, kernel = demand_shape(input), demand_shape(weight)
    return elements(kernel[2:]) * given[1] * kernel[1] * given[0] * elements(given[2:])


def _product(input: Outline, other: Outline, *, out: Outline = None) -> int:  # noqa: A002
    return elements(demand_shape(input)) * demand_shape(other)[-1]


def _added_product(
    input: Outline,  # noqa: A002
    mat1: Outline,
    mat2: Outline,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: Outline = None,
) -> int:
    return elements(demand_shape(mat1)) * demand_shape(mat2)[-1]


def _attention(q: Outline, k: Outline, v: Outline, *args: Any, **kwargs: Any) -> int:
    query, key, value = demand_shape(q), demand_shape(k), demand_shape(v)
    return elements(query) * key[-2] + elements(query[:-1]) * key[-2] * value[-1]


def _einsum(equation: str, *operands: Outline) -> int:
    for operand in operands:
        demand_shape(operand, "`torch.einsum`")  # a list of operands has no shape
    return 0


def _added(input: Outline, other: Outline, *, alpha: float = 1, out: Outline = None) -> int:  # noqa: A002
    return 0


def _activation(input: Outline, inplace: bool = False) -> int:  # noqa: A002
    demand_shape(input)
    return 0


def _sloped(input: Outline, slope: Any = 1.0, inplace: bool = False, **named: Any) -> int:  # noqa: A002
    return 0


def _gelu(input: Outline, **kwargs: Any) -> int:  # noqa: A002
    return 0


def _pool(
    input: Outline,  # noqa: A002
    kernel_size: Any = None,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = None,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
    return_indices: Any = None,
) -> int:
    if kernel_size is None:
        raise Refused("DeepSpeed takes the size of a pooling by position")
    return 0


def _interpolated(*args: Any, **kwargs: Any) -> int:
    given = demand_shape(args[0])
    values = dict(zip(("input", "size", "scale_factor"), args, strict=False)) | kwargs
    size, scale = values.get("size"), values.get("scale_factor")
    if size is None and (scale is None or (isinstance(scale, list) and len(scale) != len(given) - 2)):
        raise Refused("an interpolation has no size and no scale by which DeepSpeed counts")
    return 0


def _anything(*args: Any, **kwargs: Any) -> int:
    return 0


_AXES = ("1d", "2d", "3d")
_POOLS = ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
_FUNCTIONS: Mapping[str, Signature] = {
    "F.linear": _linear,
    **{f"F.conv{axes}": _conv for axes in _AXES},
    **{f"F.conv_transpose{axes}": _conv_transpose for axes in _AXES},
    **{f"F.{name}": _activation for name in ("relu", "relu6", "silu")},
    **{f"F.{name}": _sloped for name in ("prelu", "elu", "leaky_relu")},
    "F.gelu": _gelu,
    **{f"F.{name}{axes}": _pool for name in _POOLS for axes in _AXES},
    **{f"F.{name}": _anything for name in ("batch_norm", "layer_norm", "instance_norm", "group_norm")},
    **{f"F.{name}": _anything for name in ("softmax", "embedding")},
    **{f"F.{name}": _interpolated for name in ("upsample", "interpolate")},
    "F.scaled_dot_product_attention": _attention,
    **{f"{place}.{name}": _product for place in ("torch", "Tensor") for name in ("matmul", "mm", "bmm")},
    "Tensor.__matmul__": _product,
    **dict.fromkeys(("torch.addmm", "Tensor.addmm", "torch.baddbmm"), _added_product),
    **{f"{place}.{name}": _added for place in ("torch", "Tensor") for name in ("add", "mul")},
    "torch.einsum": _einsum,
}


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if operator in ("lstm", "gru", "rnn"):
        return "DeepSpeed counts recurrent layers in its FLOPs and not in its MACs"
    if operator == "einsum":
        return "DeepSpeed counts an einsum in its FLOPs and not in its MACs"
    return f"DeepSpeed replaces functions of torch, and `{operator}` was not called through one of these"


CONVENTION = Convention(
    name="deepspeed",
    unit="MACs",
    version="0.19.8",
    command="deepspeed.profiling.flops_profiler.get_model_profile(model, args=[x], as_string=False)",
    counts="convolutions, Linear, products and attention that are called through functions of torch",
    misses="recurrent layers, einsum, quantised layers, functions under a name of their own",
    entries=entries,
    missed=missed,
)
