"""torchinfo's mult-adds: the parameters of a layer times the positions of its output.

It hooks the calls of layers and adds up those that have no layers inside. The formulas follow
`torchinfo/layer_info.py` and `torchinfo/model_statistics.py` of torchinfo 1.8.0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from archcheck.facts.calls import Calls, Module, Outline, shape_of
from archcheck.facts.conventions.counting import Convention, Entry, Refused, layer_entry


def entries(calls: Calls) -> Iterator[Entry]:
    """Yield the entry of every call of a layer that has no layers inside and holds weights."""
    for call in calls.layers:
        module = calls.by_path[call.layer]
        size = _size(call.output, module)  # torchinfo reads it of every layer, and fails where it cannot
        if not module.weights:
            continue
        amount = sum(_mult_adds(module, name, elements, size) for name, elements in module.weights.items())
        if module.leaf:
            yield layer_entry(module, amount, _reason(module, size))


def _mult_adds(module: Module, name: str, elements: int, size: list[int]) -> int:
    if name in ("weight", "bias"):
        if not size:
            raise Refused(f"`{module.path or module.type}` gives no tensor with a batch, which torchinfo reads first")
        if "Conv" in module.type:
            return elements * math.prod(size[:1] + size[2:])
        return size[0] * elements
    if "weight" in name or "bias" in name:
        return math.prod(size[:2]) * elements
    return 0


def _size(output: Outline, module: Module) -> list[int]:
    """Return the size that torchinfo takes for that of an output."""
    if output is None:
        return []
    if (shape := shape_of(output)) is not None:
        return list(shape)
    if isinstance(output, Mapping) and "packed" in output:
        return list(output["packed"])
    if isinstance(output, Mapping) and "items" in output:
        return _nested(output["items"][-1]) if output["items"] else _failed(module)
    if isinstance(output, list):
        return _nested(output)
    return _failed(module)


def _failed(module: Module) -> list[int]:
    raise Refused(f"`{module.path or module.type}` gives an object whose size torchinfo cannot tell")


def _nested(value: Outline) -> list[int]:
    if (shape := shape_of(value)) is not None:
        return list(shape)
    if isinstance(value, Mapping):
        if "packed" in value:
            return list(value["packed"])
        value = value.get("items")
    return _nested(value[0]) if isinstance(value, list) and value else []


def _reason(module: Module, size: list[int]) -> str:
    told = []
    if "bias" in module.weights:
        told.append("a bias is one mult-add an output" if "Conv" in module.type else "a bias counts its elements")
    if "ConvTranspose" in module.type:
        told.append("a transposed convolution counts by its output positions")
    elif "Conv" in module.type:
        told.append("a convolution counts its weights at every output position")
    elif "Linear" in module.type and len(size) > 2:
        told.append("a linear layer counts once a sample, not once a position")
    elif any("weight" in name and name != "weight" for name in module.weights):
        told.append("a recurrent layer counts its weights at every step, biases among them")
    elif "Linear" not in module.type:
        told.append("a layer counts its weights once a sample")
    if any(f"{name}_mask" in module.tensors for name in module.weights):
        told.append("pruned weights count 0")
    return "; ".join(told)


def missed(module: Module | None, operator: str) -> str:
    """Say why an operator in a layer counts nothing."""
    if module is None or not module.leaf:
        where = "a function" if module is None else f"`{module.type}`, which has layers inside"
        return f"torchinfo counts calls of layers without layers inside, and this runs in the code of {where}"
    if not module.weights:
        return "torchinfo counts the weights of layers, and this layer has no parameters (packed ones are none)"
    return "torchinfo counts parameters called weight or bias, and this layer has none"


CONVENTION = Convention(
    name="torchinfo",
    unit="mult-adds",
    version="1.8.0",
    command="torchinfo.summary(model, input_data=x)",
    counts="weights of layers times their output positions; a bias; norms and embeddings once a sample",
    misses="products outside layers (attention, functional calls), packed int8 weights, positions of a Linear",
    entries=entries,
    missed=missed,
)
