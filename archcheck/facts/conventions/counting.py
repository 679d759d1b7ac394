"""What every convention of counting is made of: entries by layer and operator, and the way that a counter fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archcheck.facts.calls import Call, Calls, Module, Outline, path_of, shape_of

FAMILIES = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "cudnn_convolution"), "conv"),
    **dict.fromkeys(("_slow_conv2d_forward", "convolution_overrideable", "global_conv", "DeformConv2d"), "conv"),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "conv_transpose"),
    **dict.fromkeys(("mm", "bmm", "baddbmm", "_scaled_mm", "__matmul__"), "matmul"),
    **dict.fromkeys(("addmm", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), "linear"),
    **dict.fromkeys(("scaled_dot_product_attention", "_scaled_dot_product_flash_attention"), "attention"),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention"), "attention"),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "interpolate"), "upsample"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d", "global_avg_pool"), "avg_pool"),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"), "avg_pool"),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d", "global_max_pool"), "max_pool"),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"), "max_pool"),
    "grid_sampler": "grid_sample",
}  # fmt: skip
"""Name of an operator or function -> the kind that it is told apart by; the others have their own name."""

_LAYERS = {
    "ConvTranspose": "conv_transpose", "Conv": "conv", "Linear": "linear", "BatchNorm": "batch_norm",
    "SyncBatchNorm": "batch_norm", "LayerNorm": "layer_norm", "GroupNorm": "group_norm",
    "InstanceNorm": "instance_norm", "AdaptiveAvgPool": "avg_pool", "AvgPool": "avg_pool",
    "AdaptiveMaxPool": "max_pool", "MaxPool": "max_pool", "Embedding": "embedding", "LSTM": "lstm", "GRU": "gru",
    "RNN": "rnn", "LSTMCell": "linear", "GRUCell": "linear", "RNNCell": "linear", "MultiheadAttention": "attention",
    "PReLU": "prelu", "ReLU": "relu", "ReLU6": "relu6", "LeakyReLU": "leaky_relu", "ELU": "elu", "GELU": "gelu",
    "Softmax": "softmax", "Upsample": "upsample", "UpsamplingBilinear": "upsample", "UpsamplingNearest": "upsample",
    "DeformConv": "conv", "Attention": "attention",
}  # fmt: skip


class Refused(Exception):  # noqa: N818 - what happens, in the words of the report
    """The counter fails at this network, so that there is no number of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a counter gives to what `layer` runs itself.

    `operator` is a kind, and `reason` says why the amount is not the true one, where that is known. With `whole`, the
    entry stands for all that the layer runs.
    """

    layer: str
    operator: str
    amount: int
    reason: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """The way in which a tool counts.

    `unit` is what it calls its number, and `per_mac` how many of them are one multiply-accumulate. `version` is that of
    the tool whose formulas these are, `counts` and `misses` say in words what counts and what does not, and `missed`
    says why an operator in a layer counts nothing.
    """

    name: str
    unit: str
    version: str
    command: str
    counts: str
    misses: str
    entries: Callable[[Calls], Iterator[Entry]]
    missed: Callable[[Module | None, str], str]
    per_mac: int = 1


def family(function: str) -> str:
    """Return the kind of a function or operator."""
    plain = function.rpartition(".")[2]
    return FAMILIES.get(plain, plain)


def kind_of_layer(module: Module) -> str:
    """Return the kind of what a layer computes, its class in small letters where none is known."""
    for name in (module.type, *module.names):
        plain = name.rpartition(".")[2]
        stem = plain[:-2] if plain[-2:] in ("1d", "2d", "3d") else plain
        if stem in _LAYERS:
            return _LAYERS[stem]
    return module.type.lower()


def layer_entry(module: Module, amount: float, reason: str = "", *, whole: bool = False) -> Entry:
    """Return the entry of a call of a layer."""
    return Entry(layer=module.path, operator=kind_of_layer(module), amount=int(amount), reason=reason, whole=whole)


def demand_hooks(calls: Calls, tool: str) -> None:
    """Refuse what TorchScript runs: a layer of it takes no hook."""
    if scripted := calls.scripted:
        raise Refused(f"{tool} hooks every layer, and `{path_of(scripted)}` is scripted, which takes no hook")


def demand_shape(value: Outline, what: str = "a layer") -> tuple[int, ...]:
    """Return the shape of a tensor; a counter that reads one from anything else fails there."""
    shape = shape_of(value)
    if shape is None:
        raise Refused(f"{what} gets or gives something other than a tensor")
    return shape


def first_input(call: Call, module: Module) -> tuple[int, ...]:
    """Return the shape of the first input by position."""
    if not call.inputs:
        raise Refused(f"`{module.path}` gets its input by name, and the counter reads it by position")
    return demand_shape(call.inputs[0], f"`{module.path}`")


def elements(shape: Sequence[int]) -> int:
    """Return how many elements a tensor has."""
    return math.prod(shape)


def visits(calls: Calls, ends: Callable[[Module], bool]) -> Mapping[str, int]:
    """Return how often a walk over children comes to each module, which goes no further where `ends` says so.

    A module that several others hold is visited from each of them.
    """
    found: dict[str, int] = {}

    def count(path: str) -> int:
        if path not in found:
            found[path] = 0  # a module that holds itself would never end
            module = calls.by_path[path]
            parents = [calls.by_path[each] for each in module.parents]
            found[path] = (not path) + sum(count(each.path) for each in parents if not ends(each))
        return found[path]

    for module in calls.modules:
        count(module.path)
    return found


Signature = Callable[..., Any]
"""A formula that takes what the function takes, by position and by name."""


def applied(formula: Signature, call: Call) -> Any:
    """Return what a formula gives for a call; where the call does not fit, the counter fails in its place."""
    try:
        return formula(*call.inputs, **call.keywords)
    except Refused:
        raise
    except (TypeError, IndexError, KeyError, ValueError, ZeroDivisionError) as error:
        where = f"`{call.layer}`" if call.layer else "the model itself"
        raise Refused(f"its formula of `{call.function}` does not take the call in {where}: {error}") from None
