"""fvcore's flops: a formula for each operator that torch's tracer sees; one multiply-add is one.

The formulas follow `fvcore/nn/jit_handles.py` and `fvcore/nn/flop_count.py` of fvcore 0.1.5.post20221221. timm's
`benchmark.py` prints this number of one image (the file of timm 1.0; with DeepSpeed installed it prints DeepSpeed's).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from archcheck.facts.calls import Call, Calls, Module, Outline, shape_of
from archcheck.facts.conventions.counting import (
    Convention,
    Entry,
    Refused,
    demand_hooks,
    demand_shape,
    elements,
    family,
)
from archcheck.facts.conventions.einsums import fvcore_macs

Counted = tuple[int, str]


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every operator that fvcore has a formula for."""
    demand_hooks(calls, "fvcore")
    if calls.untraceable is not None:
        raise Refused(
            f"torch's tracer, which fvcore uses, fails at `{calls.untraceable}`: it is part of the state, no tensor"
        )
    if calls.unseen is not None:
        raise Refused(f"archcheck could not record the operators that fvcore sees: {calls.unseen}")
    for call in calls.operators:
        formula = _FORMULAS[call.function]
        try:
            amount, reason = formula(call)
        except (IndexError, TypeError, ValueError) as error:
            raise Refused(f"its formula of `{call.function}` fails in `{call.layer}`: {error}") from None
        if amount:
            yield Entry(layer=call.layer, operator=family(call.function), amount=amount, reason=reason)


def _conv(call: Call) -> Counted:
    inputs, weight, out = demand_shape(call.inputs[0]), demand_shape(call.inputs[1]), demand_shape(call.output)
    if call.function in ("convolution", "_convolution"):
        transposed = bool(call.inputs[6])
    else:
        transposed = "transpose" in call.function
    alone = len(inputs) < len(weight)  # without a batch
    extent = (inputs if transposed else out)[1 if alone else 2 :]
    return (1 if alone else inputs[0]) * elements(weight) * elements(extent), ""


def _linear(call: Call) -> Counted:
    return elements(demand_shape(call.inputs[0])) * demand_shape(call.inputs[1])[0], ""


def _addmm(call: Call) -> Counted:
    left, right = demand_shape(call.inputs[1]), demand_shape(call.inputs[2])
    return elements(left) * right[1], ""


def _matmul(call: Call) -> Counted:
    left, right = demand_shape(call.inputs[0]), demand_shape(call.inputs[1])
    if len(right) < 2 or left[-1] != right[-2]:
        raise Refused(f"fvcore fails at a product with a vector, in `{call.layer or 'the model itself'}`")
    return elements(left) * right[-1], "fvcore counts a product by the shape of its left side"


def _cell(call: Call) -> Counted:
    state = call.inputs[1][0] if isinstance(call.inputs[1], list) else call.inputs[1]
    pairs = zip((call.inputs[0], state), call.inputs[2:4], strict=True)
    return sum(elements(demand_shape(each)) * demand_shape(weight)[0] for each, weight in pairs), ""


def _einsum(call: Call) -> Counted:
    shapes = [demand_shape(each) for each in call.inputs[1]]
    return fvcore_macs(call.inputs[0], shapes), "fvcore takes numpy's estimate of an einsum, rounded to four digits"


def _weight(call: Call, index: int, name: str) -> Outline:
    return call.inputs[index] if len(call.inputs) > index else call.keywords.get(name)


def _norm(index: int) -> Callable[[Call], Counted]:
    def norm(call: Call) -> Counted:
        given = demand_shape(call.inputs[0])
        if not 2 <= len(given) <= 5:
            raise Refused(f"fvcore takes norms of 2 to 5 axes, and `{call.layer}` has {len(given)}")
        each = 5 if shape_of(_weight(call, index, "weight")) is not None else 4
        return each * elements(given), f"a norm counts {each} an element"

    return norm


def _batch_norm(call: Call) -> Counted:
    if call.inputs[5]:
        return _norm(1)(call)
    each = 2 if shape_of(_weight(call, 1, "weight")) is not None else 1
    return each * elements(demand_shape(call.inputs[0])), f"BatchNorm counts {each} an element"


def _outputs(each: int, what: str) -> Callable[[Call], Counted]:
    def outputs(call: Call) -> Counted:
        return each * elements(demand_shape(call.output)), f"{what} counts {each} an output"

    return outputs


def _adaptive_pool(call: Call) -> Counted:
    return elements(demand_shape(call.inputs[0])), "a pooling to a fixed size counts its input"


_FORMULAS: Mapping[str, Callable[[Call], Counted]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution", "_convolution"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _cell),
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    "linear": _linear,
    "addmm": _addmm,
    "einsum": _einsum,
    "batch_norm": _batch_norm,
    "group_norm": _norm(2),
    "layer_norm": _norm(2),
    "instance_norm": _norm(1),
    "upsample_nearest2d": _outputs(1, "an upsampling"),
    "upsample_bilinear2d": _outputs(4, "an upsampling"),
    "grid_sampler": _outputs(4, "a sampling on a grid"),
    "adaptive_avg_pool2d": _adaptive_pool,
}


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if operator == "conv":
        return 'fvcore does not know a convolution whose padding is a word, such as "same"'
    return f"fvcore does not know `{operator}` as it is called here"


CONVENTION = Convention(
    name="fvcore",
    unit="flops",
    version="0.1.5.post20221221",
    command="fvcore.nn.FlopCountAnalysis(model, x).total()",
    counts="a multiply-add as one; BatchNorm 2, other norms 5 an element; adaptive pooling, upsampling",
    misses='fused attention, LSTM, GRU and RNN, `padding="same"`, quantised layers',
    entries=entries,
    missed=missed,
)


def timm_entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entries of fvcore; timm gives one image, so that a batch has no number of its own."""
    for call in calls.layers:
        shape = shape_of(call.inputs[0]) if not call.layer and call.inputs else None
        if shape and shape[0] != 1:
            raise Refused(f"timm counts one image, and the input has a batch of {shape[0]}; give one of 1")
    return entries(calls)


TIMM = replace(
    CONVENTION,
    name="timm",
    unit="MACs",
    version="1.0",
    command="timm's benchmark.py, which asks fvcore (or DeepSpeed, where that is installed)",
    entries=timm_entries,
)
