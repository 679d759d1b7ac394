"""Canonical kinds and attributes of single operations, whatever functions the code calls.

`graph` decides what takes more than one operation: whether a mean is a global pooling, whether a product has a weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from archcheck.measure.operators.attention_cost import attention_scores
from archcheck.measure.operators.einsum_cost import summed_axes
from archcheck.measure.operators.vocabulary import FACTORIES, KINDS, RANDOM, base_name, is_listed
from archcheck.measure.shapes.arguments import Call, per_axis
from archcheck.measure.shapes.packed import opened

Attributes = dict[str, Any]
_DESCRIBERS: dict[str, Callable[[str, Call, Sequence[torch.Tensor]], Attributes]] = {}


def kind_of(name: str) -> str:
    """Return the canonical kind of an operator, in place or not; an unknown operator is its own kind."""
    base = base_name(name)
    if base in FACTORIES:
        return "factory"
    return "random" if base in RANDOM else KINDS.get(base, base)


@cache
def is_known(name: str, func: Any) -> bool:
    """Whether a composite operator is known as a whole, so that it is not decomposed."""
    return is_listed(name) or torch.Tag.pointwise in func.tags


def describe(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> tuple[str, Attributes]:
    """Return the kind of one call and its attributes for rules."""
    kind = kind_of(name)
    if "quantized" in name:
        call = opened(call)
    if kind == "conv" and call.get("transposed"):
        kind = "conv_transpose"
    if kind == "hardtanh" and (call.get("min_val"), call.get("max_val")) == (0, 6):
        kind = "relu6"  # torch implements it by `hardtanh`
    if name == "einsum" and len(call["tensors"]) == 1:
        whole = call["tensors"][0].shape
        if dims := summed_axes(call["equation"], len(whole)):
            return "sum", {"dims": dims, "of": tuple(whole), "keepdim": False}
    describer = _DESCRIBERS.get(kind)
    if describer is None:
        return kind, {}
    try:
        return kind, describer(name, call, outputs)
    except (KeyError, IndexError, TypeError, AttributeError):  # an overload that takes other arguments
        return kind, {}


def _describes(*kinds: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        _DESCRIBERS.update(dict.fromkeys(kinds, function))
        return function

    return register


@_describes("conv", "conv_transpose")
def _conv(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    if name == "conv_tbc":
        return _conv_over_time(call)
    weight, x = call["weight"], call["input"]
    axes = weight.dim() - 2
    transposed = "transpose" in name or call.get("transposed", False)
    kernel = tuple(weight.shape[2:])
    attributes = {
        "kernel": kernel,
        **_geometry(call, axes),
        "groups": (groups := call.get("groups", 1)),
        "in_channels": weight.shape[0] if transposed else weight.shape[1] * groups,
        "out_channels": weight.shape[1] * groups if transposed else weight.shape[0],
        "bias": call.get("bias") is not None,
    }
    extent, out = tuple(x.shape[-axes:]), tuple(outputs[0].shape[-axes:])
    if not transposed and math.prod(out) == 1:
        attributes |= _whole_map(attributes, extent)
    return attributes


def _whole_map(conv: Attributes, extent: tuple[int, ...]) -> Attributes:
    """Return whether a convolution with one output position is a linear layer, or covers its whole map.

    A 1x1 convolution of a single position is a linear layer. A kernel that reads every position of a larger map is a
    global convolution; global average pooling is one with fixed, equal weights.
    """
    kernel = conv["kernel"]
    if math.prod(extent) == 1:
        return {"linear_like": True} if conv["groups"] == 1 and math.prod(kernel) == 1 else {}
    padding = per_axis(0 if conv["padding"] == "valid" else conv["padding"], len(kernel))
    if isinstance(padding[0], str):  # "same" reads beyond the map
        return {}
    reach = (
        (size if step == 1 else 1) - pad for size, pad, step in zip(kernel, padding, conv["dilation"], strict=True)
    )
    covers = all(seen >= size for seen, size in zip(reach, extent, strict=True))
    return {"coverage": "real"} if covers else {}


def _geometry(call: Call, axes: int) -> Attributes:
    """Return stride, padding and dilation per axis. A deformable convolution has one argument per axis for each."""
    if "pad_h" in call:
        names = {"stride": "stride", "padding": "pad", "dilation": "dilation"}
        return {name: (call[f"{short}_h"], call[f"{short}_w"]) for name, short in names.items()}
    padding = call.get("padding", 0)
    return {
        "stride": per_axis(call.get("stride", 1), axes),
        "padding": padding if isinstance(padding, str) else per_axis(padding, axes),
        "dilation": per_axis(call.get("dilation", 1), axes),
    }


def _conv_over_time(call: Call) -> Attributes:
    """Describe `torch.conv_tbc`, whose input is (T, N, C) and whose weight is (kernel, in, out)."""
    kernel, inputs, outputs = call["weight"].shape
    geometry = {"kernel": (kernel,), "stride": (1,), "padding": (call["pad"],), "dilation": (1,), "groups": 1}
    return {**geometry, "in_channels": inputs, "out_channels": outputs, "bias": True}


@_describes("linear")
def _linear(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    weight = call["weight"]
    return {
        "in_features": weight.shape[-1],
        "out_features": weight.shape[0],
        "bias": call.get("bias") is not None,
    }


@_describes("batch_norm", "instance_norm")
def _batch_norm(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    features = call["input"].shape[1]
    training = call.get("training", call.get("use_input_stats"))
    return {
        "features": features,
        "training": bool(training),
        "affine": call.get("weight") is not None,
        "epsilon": call.get("eps"),
    }


@_describes("group_norm")
def _group_norm(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    return {"features": outputs[0].shape[1], "groups": call["num_groups" if "num_groups" in call else "group"]}


@_describes("dropout")
def _dropout(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    return {"p": float(call["p"]), "training": bool(call["train"])}


@_describes("attention")
def _attention(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    # Modules pass 0 in evaluation, so a rate above 0 means that dropout is on.
    rate = float(call.get("dropout_p", 0.0))
    return {
        "p": rate,
        "training": rate > 0,
        "causal": bool(call.get("is_causal")),
        "scores": attention_scores(call, outputs[0]),
    }


@_describes("lstm", "gru", "rnn")
def _recurrent(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    return {
        "p": float(call["dropout"]),
        "training": bool(call["train"]),
        "num_layers": call["num_layers"],
        "bidirectional": bool(call["bidirectional"]),
    }


@_describes("max_pool", "avg_pool")
def _pool(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    if "output_size" in call:
        axes = len(call["output_size"])
        extent, out = call["self"].shape[-axes:], outputs[0].shape[-axes:]
        # An adaptive window covers a map of any size.
        return {"adaptive": True, **_coverage(tuple(extent), tuple(out), tuple(extent))}
    axes = len(call["kernel_size"])
    kernel = per_axis(call["kernel_size"], axes)
    extent, out = call["self"].shape[-axes:], outputs[0].shape[-axes:]
    padding = per_axis(call.get("padding", 0), axes)
    reach = tuple(size - pad for size, pad in zip(kernel, padding, strict=True))
    return {
        "kernel": kernel,
        "stride": per_axis(call.get("stride") or kernel, axes),
        "padding": padding,
        **_coverage(tuple(extent), tuple(out), reach),
    }


def _coverage(extent: tuple[int, ...], out: tuple[int, ...], reach: tuple[int, ...]) -> Attributes:
    """Return whether a pooling to one position covers its whole map of `extent`, given the `reach` of its window.

    `real`: it covers several positions; `trivial`: the map has one position; `partial`: the window misses a border.
    """
    attributes: Attributes = {"extent": extent}
    if math.prod(out) != 1:
        return attributes
    if math.prod(extent) == 1:
        attributes["coverage"] = "trivial"
    elif all(seen >= size for seen, size in zip(reach, extent, strict=True)):
        attributes["coverage"] = "real"
    else:
        attributes["coverage"] = "partial"
    return attributes


@_describes("mean", "sum", "amax", "max")
def _reduce(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    x, dims = call["self"], call.get("dim")
    whole = not x.dim() or dims in (None, [], ())  # a single number has no axis
    axes = range(x.dim()) if whole else [axis % x.dim() for axis in per_axis(dims, 1)]
    return {"dims": tuple(sorted(axes)), "of": tuple(x.shape), "keepdim": bool(call.get("keepdim"))}


@_describes("softmax", "log_softmax")
def _softmax(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    return {"dim": call["dim"] % max(1, outputs[0].dim())}


@_describes("permute")
def _permute(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    axes = outputs[0].dim()
    if "dims" in call:
        return {"order": tuple(axis % axes for axis in call["dims"])}
    order = list(range(axes))
    if "source" in call:
        moved = {
            to % axes: source % axes
            for source, to in zip(per_axis(call["source"], 1), per_axis(call["destination"], 1), strict=True)
        }
        others = (axis for axis in order if axis not in moved.values())
        return {"order": tuple(moved[axis] if axis in moved else next(others) for axis in order)}
    ends = ("dim0", "dim1") if "dim0" in call else ("axis0", "axis1")
    first, second = (call.get(name, axes - back) for name, back in zip(ends, (2, 1), strict=True))
    order[first], order[second] = order[second], order[first]
    return {"order": tuple(order)}


@_describes("upsample")
def _upsample(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    x = call.get("input", call.get("self"))
    assert x is not None
    return {"scale": tuple(out / size for out, size in zip(outputs[0].shape[2:], x.shape[2:], strict=True))}


@_describes("pad")
def _pad(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    return {"pad": tuple(call.get("pad", call.get("padding")))}


@_describes("reshape")
def _unfold(name: str, call: Call, outputs: Sequence[torch.Tensor]) -> Attributes:
    """Describe operations that read windows without weights. Other operations that reshape have no attributes."""
    if name == "im2col":
        return {"kernel": per_axis(call["kernel_size"], 2), **_geometry(call, 2)}
    if name == "unfold":
        return {"axis": call["dimension"] % max(1, call["self"].dim()), "size": call["size"], "step": call["step"]}
    return {}
