"""thop's operations: a formula for each class of `torch.nn` that it knows, by the exact class.

It hooks the calls of layers and walks over the children to add up, so that a layer which several others hold counts
several times. The formulas follow `thop/profile.py`, `thop/vision/basic_hooks.py`, `thop/vision/calc_func.py` and
`thop/rnn_hooks.py` of thop 0.1.1.post2209072238.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from archcheck.facts.calls import Call, Calls, Module
from archcheck.facts.conventions.counting import (
    Convention,
    Entry,
    Refused,
    demand_hooks,
    demand_shape,
    elements,
    first_input,
    layer_entry,
    visits,
)

_UPSAMPLING = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}
_CONTAINERS = ("Sequential", "ModuleList")


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every call of a layer whose class thop knows."""
    if not calls.positional:
        raise Refused("thop gives inputs by position, and the example gives them by name")
    demand_hooks(calls, "thop")
    hooked = visits(calls, lambda module: False)
    counted = visits(calls, lambda module: module.exactly in _FORMULAS and module.exactly not in _CONTAINERS)
    for call in calls.layers:
        module = calls.by_path[call.layer]
        formula = _FORMULAS.get(module.exactly)
        if formula is None or formula is _nothing:
            continue
        amount, reason = formula(module, call)
        times = hooked[module.path] * counted[module.path]
        if times > 1:
            reason = f"a layer that several others hold counts {times} times"
        yield layer_entry(module, amount * times, reason, whole=module.exactly in _RECURRENT)


Counted = tuple[int, str]


def _nothing(module: Module, call: Call) -> Counted:
    return 0, ""


def _conv(module: Module, call: Call) -> Counted:
    given, out = first_input(call, module), demand_shape(call.output)
    channels = given[1] // module.settings["groups"]
    reason = "a transposed convolution counts by its output positions" if "Transpose" in module.exactly else ""
    return elements(out) * channels * elements(module.tensors["weight"][2:]), reason


def _norm(module: Module, call: Call) -> Counted:
    affine = bool(module.settings.get("affine") or module.settings.get("elementwise_affine"))
    each = 4 if affine else 2
    return each * elements(first_input(call, module)), f"a norm counts {each} an element"


def _prelu(module: Module, call: Call) -> Counted:
    return elements(first_input(call, module)), "PReLU counts its elements"


def _softmax(module: Module, call: Call) -> Counted:
    given, dim = first_input(call, module), module.settings["dim"]
    if dim is None:
        raise Refused(f"`{module.path}` is a softmax without `dim`, at which thop fails")
    features = given[dim]
    return elements(given) // features * (3 * features - 1), "a softmax counts 3 an element"


def _avg_pool(module: Module, call: Call) -> Counted:
    return elements(demand_shape(call.output)), "a pooling counts its output"


def _adaptive_pool(module: Module, call: Call) -> Counted:
    given, out = first_input(call, module), demand_shape(call.output)
    if len(given) != len(out):
        raise Refused(f"`{module.path}` changes the number of axes")
    kernel = 1.0
    for size, result in zip(given[2:], out[2:], strict=True):
        kernel *= size / result
    return int((kernel + 1) * elements(out)), "a pooling counts its input and its output"


def _upsample(module: Module, call: Call) -> Counted:
    each = _UPSAMPLING.get(module.settings["mode"], 0)
    return each * elements(demand_shape(call.output)), f"an upsampling counts {each} an output"


def _linear(module: Module, call: Call) -> Counted:
    return int(module.settings["in_features"]) * elements(demand_shape(call.output)), ""


def _rnn_step(size: int, hidden: int, bias: bool) -> int:
    return hidden * (size + hidden) + hidden + 2 * hidden * bias


def _gru_step(size: int, hidden: int, bias: bool) -> int:
    return 3 * _rnn_step(size, hidden, bias) + 4 * hidden


def _lstm_step(size: int, hidden: int, bias: bool) -> int:
    return 4 * _rnn_step(size, hidden, bias) + 4 * hidden


_STEPS: Mapping[str, Callable[[int, int, bool], int]] = {"RNN": _rnn_step, "GRU": _gru_step, "LSTM": _lstm_step}
_GATES = "a recurrent layer counts its gates, biases and activations as well"


def _cell(module: Module, call: Call) -> Counted:
    own = module.settings
    step = _STEPS[module.exactly.removesuffix("Cell")](own["input_size"], own["hidden_size"], own["bias"])
    return step * first_input(call, module)[0], _GATES


def _recurrent(module: Module, call: Call) -> Counted:
    own, step = module.settings, _STEPS[module.exactly]
    directions = 2 if own["bidirectional"] else 1
    sizes = [own["input_size"], *[own["hidden_size"] * directions] * (own["num_layers"] - 1)]
    total = directions * sum(step(size, own["hidden_size"], own["bias"]) for size in sizes)
    given: Any = call.inputs[0] if call.inputs else None
    if isinstance(given, Mapping) and "packed" in given:
        return total * given["steps"] * given["batch"], _GATES
    return total * elements(first_input(call, module)[:2]), _GATES


_RECURRENT = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")
_AXES = ("1d", "2d", "3d")
_FORMULAS: Mapping[str, Callable[[Module, Call], Counted]] = {
    **{f"{name}{axes}": _conv for name in ("Conv", "ConvTranspose") for axes in _AXES},
    **{f"{name}{axes}": _norm for name in ("BatchNorm", "InstanceNorm") for axes in _AXES},
    **{f"{name}{axes}": _nothing for name in ("MaxPool", "AdaptiveMaxPool") for axes in _AXES},
    **{f"AvgPool{axes}": _avg_pool for axes in _AXES},
    **{f"AdaptiveAvgPool{axes}": _adaptive_pool for axes in _AXES},
    **dict.fromkeys(("LayerNorm", "SyncBatchNorm"), _norm),
    **dict.fromkeys(("ReLU", "ReLU6", "LeakyReLU", "Dropout", "Sequential", "PixelShuffle", "ZeroPad2d"), _nothing),
    **dict.fromkeys(("Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"), _upsample),
    **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), _cell),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "Linear": _linear,
    "PReLU": _prelu,
    "Softmax": _softmax,
}


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if module is None or not module.bases or not module.exact:
        return f"thop knows exact classes of torch.nn, and this runs in `{module.type if module else 'a function'}`"
    return f"thop has no formula for `{module.exactly}`"


CONVENTION = Convention(
    name="thop",
    unit="MACs",
    version="0.1.1.post2209072238",
    command="thop.profile(model, inputs=(x,))",
    counts="convolutions and Linear without bias; norms 2 or 4 an element; average pooling, softmax, upsampling; RNNs",
    misses="functional calls, attention, subclasses of layers, GroupNorm; shared layers count several times",
    entries=entries,
    missed=missed,
)
