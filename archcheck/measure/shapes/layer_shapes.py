"""The shapes that layers give: products with weights, attention, norms, pooling, recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch

from archcheck.measure.shapes.arguments import Call, per_axis
from archcheck.measure.shapes.shape_rules import Answer, broadcast, expect, layout_of, like, new, rule


@rule("linear")
def _linear(call: Call) -> Answer:
    x, weight, bias = call["input"], call["weight"], call["bias"]
    expect(
        x.shape[-1] == weight.shape[-1],
        f"a linear layer of {weight.shape[-1]} input features got an input of shape {tuple(x.shape)}",
    )
    if x.dtype != weight.dtype or (bias is not None and bias.shape != weight.shape[:-1]):
        return None
    return new((*x.shape[:-1], *weight.shape[:-1]), x)


@rule("conv1d", "conv2d", "conv3d")
def _conv(call: Call) -> Answer:
    x, weight = call["input"], call["weight"]
    axes = weight.dim() - 2
    if x.dim() != axes + 2 or not _is_plain(call):
        return None
    channels = weight.shape[1] * call["groups"]
    expect(
        x.shape[1] == channels,
        f"a convolution of {channels} input channels got an input of shape {tuple(x.shape)}",
    )
    extent = tuple(_conv_axis(call, x.shape[2 + i], weight.shape[2 + i], i, axes) for i in range(axes))
    expect(
        min(extent) > 0,
        f"a kernel of {tuple(weight.shape[2:])} does not fit into a map of {tuple(x.shape[2:])}",
    )
    # Torch's kernels for three axes always return the contiguous format.
    layout = layout_of(x, weight) if axes == 2 else torch.contiguous_format
    return new((x.shape[0], weight.shape[0], *extent), x, memory_format=layout)


def _is_plain(call: Call) -> bool:
    """Whether torch accepts the dtypes, bias, groups and strides of a convolution."""
    weight, bias = call["weight"], call["bias"]
    fits = bias is None or bias.shape == weight.shape[:1]
    strided_same = call["padding"] == "same" and max(per_axis(call["stride"], 1)) > 1
    return fits and call["input"].dtype == weight.dtype and weight.shape[0] % call["groups"] == 0 and not strided_same


def _conv_axis(call: Call, size: int, kernel: int, axis: int, axes: int) -> int:
    stride, dilation = per_axis(call["stride"], axes)[axis], per_axis(call["dilation"], axes)[axis]
    if call["padding"] == "same":
        return size
    padding = 0 if call["padding"] == "valid" else per_axis(call["padding"], axes)[axis]
    return conv_extent(size, kernel, stride, padding, dilation)


def conv_extent(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return the output extent of a convolution along one axis (torch.nn.Conv2d, "Shape")."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@rule("scaled_dot_product_attention")
def _attention(call: Call) -> Answer:
    query, key, value, mask = call["query"], call["key"], call["value"], call["attn_mask"]
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2] or query.dtype != key.dtype:
        return None
    if not query.dtype.is_floating_point:
        return None
    lead = _attention_batch(query, key, value, grouped=bool(call.get("enable_gqa")))
    if lead is None or (mask is not None and not _broadcasts_to(mask, (*lead, query.shape[-2], key.shape[-2]))):
        return None
    answer = new((*lead, query.shape[-2], value.shape[-1]), query)
    fused = query.dim() == 4 and all(part.shape[:2] == lead and part.stride(-1) == 1 for part in (query, key, value))
    if not fused or call["dropout_p"] or not _puts_heads_last():
        return answer
    _, heads, steps, width = answer.shape
    return answer.as_strided(answer.shape, (steps * heads * width, width, heads * width, 1))


@cache
def _puts_heads_last() -> bool:
    """Whether this release of torch lays out the result of fused attention as (N, L, H, E); runs it once."""
    with torch._C._DisableTorchDispatch():
        query = torch.ones(1, 2, 3, 4, dtype=torch.float32, device="cpu")
        result = torch.ops.aten.scaled_dot_product_attention.default(query, query, query)
    return not result.is_contiguous()


def _attention_batch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, grouped: bool
) -> tuple[int, ...] | None:
    """Return the axes before `(L, E)`, which broadcast; grouped heads of keys and values are repeated."""
    heads = [(*tensor.shape[:-2],) for tensor in (query, key, value)]
    if heads[0] == heads[1] == heads[2]:
        return heads[0]
    if grouped:
        if any(not lead or heads[0][-1] % lead[-1] for lead in heads[1:]):
            return None
        heads = [(*lead[:-1], heads[0][-1]) for lead in heads]
    try:
        return broadcast(*heads)
    except RuntimeError:
        return None


def _broadcasts_to(tensor: torch.Tensor, shape: Sequence[int]) -> bool:
    try:
        return broadcast(tensor.shape, shape) == tuple(shape)
    except RuntimeError:
        return False


@rule("batch_norm", "instance_norm")
def _batch_norm(call: Call) -> Answer:
    x = call["input"]
    for role in ("running_mean", "weight", "bias", "running_var"):
        held = call[role]
        expect(
            held is None or held.numel() == x.shape[1],
            f"a norm of {0 if held is None else held.numel()} channels got an input of shape {tuple(x.shape)}",
        )
    return new(x.shape, x, memory_format=layout_of(x)) if x.dtype.is_floating_point else None


@rule("layer_norm", "rms_norm")
def _layer_norm(call: Call) -> Answer:
    x, normalized = call["input"], tuple(call["normalized_shape"])
    expect(
        tuple(x.shape[-len(normalized) :]) == normalized,
        f"a norm over {normalized} got an input of shape {tuple(x.shape)}",
    )
    return new(x.shape, x) if x.dtype.is_floating_point else None


@rule("group_norm")
def _group_norm(call: Call) -> Answer:
    x, groups, weight = call["input"], call["num_groups"], call["weight"]
    expect(x.shape[1] % groups == 0, f"a norm of {groups} groups got an input of shape {tuple(x.shape)}")
    if weight is not None and weight.numel() != x.shape[1]:
        return None
    return new(x.shape, x, memory_format=layout_of(x)) if x.dtype.is_floating_point else None


@rule("prelu")
def _prelu(call: Call) -> Answer:
    x, slopes = call["self"], call["weight"].numel()
    fits = slopes in (1, x.shape[1] if x.dim() > 1 else 1)
    return like(x) if fits and x.dtype.is_floating_point else None


@rule("embedding")
def _embedding(call: Call) -> Answer:
    if call["indices"].dtype not in (torch.int64, torch.int32):
        return None
    return new((*call["indices"].shape, *call["weight"].shape[1:]), call["weight"])


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def _adaptive_pool(call: Call) -> Answer:
    x, size = call["self"], list(call["output_size"])
    if x.dim() - len(size) not in (1, 2) or not x.dtype.is_floating_point:
        return None
    return new((*x.shape[: -len(size)], *size), x, memory_format=layout_of(x))


@rule("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def _pool(call: Call) -> Answer:
    x, axes = call["self"], len(call["kernel_size"])
    if x.dim() - axes not in (1, 2) or x.dtype.is_complex or _pads_too_much(call, axes):
        return None
    extent = [pool_extent(call, x.shape[axis - axes], axis, axes) for axis in range(axes)]
    kernel = tuple(call["kernel_size"])
    expect(min(extent) > 0, f"a pooling window of {kernel} does not fit into a map of {tuple(x.shape[-axes:])}")
    return new((*x.shape[:-axes], *extent), x, memory_format=layout_of(x))


def _pads_too_much(call: Call, axes: int) -> bool:
    """Whether a window could lie in the padding alone, which torch refuses: padding is at most half a kernel."""
    pairs = zip(per_axis(call["padding"], axes), per_axis(call["kernel_size"], axes), strict=True)
    return any(2 * padding > kernel for padding, kernel in pairs)


def pool_extent(call: Call, size: int, axis: int, axes: int) -> int:
    """Return the output extent of a pooling along one axis (torch.nn.MaxPool2d, "Shape", and `ceil_mode`)."""
    kernel = per_axis(call["kernel_size"], axes)[axis]
    stride = per_axis(call["stride"] or call["kernel_size"], axes)[axis]
    padding = per_axis(call["padding"], axes)[axis]
    dilation = per_axis(call.get("dilation", 1), axes)[axis]
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not call["ceil_mode"]:
        return room // stride + 1
    extent = math.ceil(room / stride) + 1
    # The last window must start inside the input or its left padding.
    return extent - 1 if (extent - 1) * stride >= size + padding else extent


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(call: Call) -> Answer:
    x = call["data"] if "batch_sizes" in call else call["input"]  # `data`: the steps of a packed sequence
    states = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    directions = 2 if call["bidirectional"] else 1
    return (new((*x.shape[:-1], directions * states[0].shape[-1]), x), *map(like, states))
