"""ptflops' MACs by its default backend: hooks of exact classes of `torch.nn`, and some functions of torch replaced.

A layer such as `nn.ReLU` calls a replaced function, so that it counts twice. The hooks' sum is divided by the batch,
what the functions add is not. The formulas follow `ptflops/pytorch_ops.py` and `ptflops/pytorch_engine.py` of ptflops
0.7.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from archcheck.facts.calls import Call, Calls, Module, Outline, shape_of
from archcheck.facts.conventions.counting import (
    Convention,
    Entry,
    Refused,
    Signature,
    applied,
    demand_shape,
    elements,
    family,
    first_input,
    layer_entry,
    visits,
)

Counted = tuple[int, str]
_TWICE = "counts its elements, in the layer and again in the function that it calls"


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entries of layers whose class ptflops knows, of functions that it replaces, and of its division."""
    if calls.failure is not None:
        raise Refused(f"ptflops runs the model with gradients, and there it fails: {calls.failure}")
    walked, total = visits(calls, _is_known), 0
    for call in calls.layers:
        module = calls.by_path[call.layer]
        formula = _FORMULAS.get(module.exactly)
        if formula is None:
            continue
        amount, reason = _layer(formula, module, call)
        times = walked[module.path]
        total += amount * times
        if times != 1:
            reason = f"ptflops walks over the children, and comes to this layer {times} times"
        yield layer_entry(module, amount * times, reason, whole=module.exactly in _WHOLE)
    for call in calls.functions:
        if (function := _FUNCTIONS.get(call.function)) is not None:
            amount = int(applied(function, call))
            yield Entry(layer=call.layer, operator=family(call.function), amount=amount, reason=_why(call))
    batch = _batch(calls)
    if batch > 1:
        reason = f"ptflops divides what layers count by the batch of {batch}"
        yield Entry(layer="", operator="batch", amount=int(total / batch) - total, reason=reason)


def _is_known(module: Module) -> bool:
    return module.exactly in _FORMULAS


def _layer(formula: Callable[[Module, Call], Counted], module: Module, call: Call) -> Counted:
    try:
        return formula(module, call)
    except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise Refused(f"its formula of `{module.type}` does not take the call of `{module.path}`: {error}") from None


def _batch(calls: Calls) -> int:
    """Return the length of the only input; several inputs have to be given by name, where ptflops takes 1."""
    call = next((each for each in reversed(calls.layers) if not each.layer), None)
    if call is None or len(call.inputs) != 1 or call.keywords:
        return 1
    (given,) = call.inputs
    if (shape := shape_of(given)) is not None:
        if not shape:
            raise Refused("ptflops takes the length of the input, and a scalar has none")
        return shape[0]
    parts = given.get("items", ()) if isinstance(given, Mapping) else given
    return len(parts) if isinstance(parts, list) else 1


def _why(call: Call) -> str:
    name = call.function
    if name.endswith((".add", ".mul")):
        return f"`{name}` counts its elements; `+` and `*` do not"
    if family(name) in ("matmul", "linear"):
        return "a product by a function counts, by the shape of its left side; `@` does not"
    return _TWICE if name.startswith("F.") else ""


def _conv(module: Module, call: Call, extra: int = 0) -> Counted:
    given, out, own = first_input(call, module), demand_shape(call.output), module.settings
    transposed = "Transpose" in module.exactly
    weights = elements(own["kernel_size"]) * (own["in_channels"] * (own["out_channels"] // own["groups"]) + extra)
    amount = weights * given[0] * elements((given if transposed else out)[2:])
    if "bias" not in module.tensors:
        return amount, ""
    return amount + given[0] * elements(out[1:]), "a bias is one an output"


def _deformable(module: Module, call: Call) -> Counted:
    modulated = len(call.inputs) == 3 and call.inputs[2] is not None
    amount, _ = _conv(module, call, 25 if modulated else 24)
    return amount, "a deformable convolution interpolates, which counts 24 or 25 a position of the window"


def _elements_out(module: Module, call: Call) -> Counted:
    return elements(demand_shape(call.output)), "an activation counts its elements"


def _elements_in(module: Module, call: Call) -> Counted:
    return elements(first_input(call, module)), "a pooling counts its input"


def _norm(module: Module, call: Call) -> Counted:
    each = 2 if module.settings.get("affine") else 1
    return each * elements(first_input(call, module)), f"a norm counts {each} an element"


def _linear(module: Module, call: Call) -> Counted:
    given, out = first_input(call, module), demand_shape(call.output)
    bias = out[-1] if "bias" in module.tensors else 0
    return (given[-1] * out[-1] + bias) * elements(given[:-1]), "a bias is one an output" if bias else ""


def _upsample(module: Module, call: Call) -> Counted:
    return elements(demand_shape(call.output)[1:]), "an upsampling counts its output"


_GATES = "a recurrent layer counts its biases and gates, and knows one size of input for all directions"
_EXTRA = {"RNN": 1, "GRU": 7, "LSTM": 10}


def _step(module: Module, names: Sequence[str]) -> int:
    """Return what one step takes, of the weights called so."""
    extra = _EXTRA[module.exactly.removesuffix("Cell")] * int(module.settings["hidden_size"])
    sizes = [elements(module.tensors[name]) for name in names]
    biases = [module.tensors[name.replace("weight", "bias")][0] for name in names] if module.settings["bias"] else []
    return sum(sizes) + sum(biases) + extra


def _cell(module: Module, call: Call) -> Counted:
    return _step(module, ("weight_ih", "weight_hh")) * first_input(call, module)[0], _GATES


def _recurrent(module: Module, call: Call) -> Counted:
    own, given = module.settings, first_input(call, module)
    total = sum(_step(module, (f"weight_ih_l{i}", f"weight_hh_l{i}")) for i in range(own["num_layers"]))
    return total * given[0] * given[1] * (2 if own["bidirectional"] else 1), _GATES


def _attention(module: Module, call: Call) -> Counted:
    if len(call.inputs) != 3:
        raise Refused(
            f"ptflops takes three inputs by position of `{module.path}`, found {len(call.inputs)} by position"
        )
    query, key, value = (demand_shape(each) for each in call.inputs)
    own = module.settings
    first = bool(own.get("batch_first"))
    batch, along = query[0 if first else 1], 1 if first else 0
    lengths, widths = [each[along] for each in (query, key, value)], [each[2] for each in (query, key, value)]
    if widths[0] != own["embed_dim"]:
        raise Refused(f"`{module.path}` has another width than its input")
    total = lengths[0] * widths[0] + sum(length * width * width for length, width in zip(lengths, widths, strict=True))
    if "in_proj_bias" in module.tensors:
        total += sum(lengths) * widths[0]
    heads = own["num_heads"]
    scores = lengths[0] * lengths[1]
    total += heads * (scores * (widths[0] // heads) + scores + scores * (widths[2] // heads))
    total += lengths[0] * widths[2] * (widths[2] + 1)
    reason = "attention counts its biases, the scaling and the softmax as well"
    return total * batch, reason


def _timm_attention(module: Module, call: Call) -> Counted:
    batch, length, _ = first_input(call, module)
    own = module.settings
    scores = 2 * length * length * own["head_dim"] + length * length
    reason = "attention counts its scaling and softmax as well"
    return batch * (length * own["head_dim"] * own["num_heads"] + scores * own["num_heads"]), reason


_AXES = ("1d", "2d", "3d")
_FORMULAS: Mapping[str, Callable[[Module, Call], Counted]] = {
    **{f"{name}{axes}": _conv for name in ("Conv", "ConvTranspose") for axes in _AXES},
    **{f"{name}{axes}": _elements_in for name in ("MaxPool", "AvgPool") for axes in _AXES},
    **{f"{name}{axes}": _elements_in for name in ("AdaptiveMaxPool", "AdaptiveAvgPool") for axes in _AXES},
    **{f"{name}{axes}": _norm for name in ("BatchNorm", "InstanceNorm") for axes in _AXES},
    **dict.fromkeys(("GroupNorm", "LayerNorm"), _norm),
    **dict.fromkeys(("ReLU", "PReLU", "ELU", "LeakyReLU", "ReLU6", "GELU"), _elements_out),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    **dict.fromkeys(("RNNCell", "GRUCell", "LSTMCell"), _cell),
    "Linear": _linear,
    "Upsample": _upsample,
    "MultiheadAttention": _attention,
    "torchvision.ops.deform_conv.DeformConv2d": _deformable,
    "timm.layers.attention.Attention": _timm_attention,
    "timm.models.vision_transformer.Attention": _timm_attention,
}
_WHOLE = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell", "MultiheadAttention")


def _input(input: Outline, *args: Any, **kwargs: Any) -> int:  # noqa: A002 - the name that callers use
    return elements(demand_shape(input))


def _interpolated(*args: Any, **kwargs: Any) -> float:
    values = dict(zip(("input", "size", "scale_factor"), args, strict=False)) | kwargs
    given, size, scale = demand_shape(values.get("input")), values.get("size"), values.get("scale_factor")
    axes = len(given) - 2
    if axes <= 0:
        raise Refused("ptflops interpolates inputs with a batch and channels only")
    if size is not None:
        extent = elements(size) if isinstance(size, list) else int(size) ** axes
        return extent * elements(given[:2])
    if scale is None:
        raise Refused("an interpolation has neither a size nor a scale by which ptflops counts")
    if isinstance(scale, list) and len(scale) == axes:
        return elements(given) * math.prod(int(each) for each in scale)
    return float(elements(given) * scale**axes)


def _product(input: Outline, other: Outline, *args: Any, **kwargs: Any) -> int:  # noqa: A002
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
    amount = elements(demand_shape(mat1)) * demand_shape(mat2)[-1]
    return amount + (elements(demand_shape(input)) if beta != 0 else 0)


def _elementwise(input: Outline, other: Outline, *args: Any, **kwargs: Any) -> int:  # noqa: A002
    shapes = [shape for value in (input, other) if (shape := shape_of(value)) is not None]
    longest = max(map(len, shapes), default=0)
    padded = [(*shape, *[1] * (longest - len(shape))) for shape in shapes]  # it pads on the wrong side
    return math.prod(max(sizes) for sizes in zip(*padded, strict=True))


_POOLS = ("avg_pool", "max_pool", "adaptive_avg_pool", "adaptive_max_pool")
_FUNCTIONS: Mapping[str, Signature] = {
    **{f"F.{name}": _input for name in ("relu", "prelu", "elu", "relu6", "gelu", "silu", "softmax")},
    **{f"F.{name}{axes}": _input for name in _POOLS for axes in _AXES},
    **{f"F.{name}": _interpolated for name in ("upsample", "interpolate")},
    **{f"{place}.{name}": _product for place in ("torch", "Tensor") for name in ("matmul", "mm", "bmm")},
    **dict.fromkeys(("torch.addmm", "Tensor.addmm", "torch.baddbmm"), _added_product),
    **{f"{place}.{name}": _elementwise for place in ("torch", "Tensor") for name in ("mul", "add")},
}


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if operator in ("matmul", "attention"):
        return "ptflops sees neither `@` nor `F.scaled_dot_product_attention`"
    if module is None or not module.exact:
        return f"ptflops knows exact classes of torch.nn, and this runs in `{module.type if module else 'a function'}`"
    return f"ptflops has no formula for `{module.exactly}`"


CONVENTION = Convention(
    name="ptflops",
    unit="MACs",
    version="0.7.5",
    command="ptflops.get_model_complexity_info(model, (3, 32, 32), as_strings=False)",
    counts="layers with biases, norms, activations and pooling (twice where a function counts them, too); one sample",
    misses="`F.conv2d`, `F.linear`, `@`, fused attention, subclasses of layers",
    entries=entries,
    missed=missed,
)
