"""Reads weights that quantised layers keep packed, in torch objects that are neither parameters nor buffers.

In torch's own layers they are weights like any other, because the state dict holds them. Anywhere else nothing saves or
counts them, so they are hidden.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archcheck.facts.facts import lineage
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.subject.module_tree import Node, Tree, join

_QUANTISED = ("torch.ao.nn.quantized.", "torch.nn.quantized.", "torch.ao.nn.intrinsic.quantized.")
"""Packages of torch's quantised layers."""
_HOLDERS = frozenset({"_packed_params", "_packed_weight"})
"""Attributes in which these layers hold their weight and bias."""
_PARTS = ("weight", "bias")
_FUNCTIONAL = frozenset({"FloatFunctional", "FXFloatFunctional", "QFunctional"})
"""Sums and products of quantised tensors: their methods are called, never they themselves."""


def packed_weights(tree: Tree) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the packed weights and biases of torch's quantised layers, each under a name of its layer: `fc.weight`."""
    for node in tree.nodes:
        if is_quantised(node.module):
            for attribute, tensors in _packed_in(node):
                plain = attribute in _HOLDERS
                path = node.path.removesuffix("_packed_params").rstrip(".") if plain else node.path
                for number, tensor in enumerate(tensors):
                    name = _PARTS[number] if plain and number < len(_PARTS) else f"{attribute}[{number}]"
                    yield join(path, name), tensor


def hidden_packed(trace: Trace, tree: Tree) -> Iterator[tuple[Event, str, torch.Tensor]]:
    """Yield the packed weights of other layers that run: the operation that uses them, a name, the tensor."""
    live = trace.live
    users = {event.layer: event for event in trace.events if live[event.index] and event.op.startswith("quantized")}
    for node in tree.nodes if users else ():
        user = next((users[layer] for layer in reversed(tuple(lineage(node.path))) if layer in users), None)
        if user is None or is_quantised(node.module):
            continue
        for attribute, tensors in _packed_in(node):
            for number, tensor in enumerate(tensors):
                yield user, f"{join(node.path, attribute)}[{number}]", tensor


def is_quantised(module: torch.nn.Module) -> bool:
    """Whether the class of a layer is one of torch's quantised layers, whose state dict holds what it packs."""
    return type(module).__module__.startswith(_QUANTISED)


def _packed_in(node: Node) -> Iterator[tuple[str, list[torch.Tensor]]]:
    for attribute, value in vars(node.module).items():
        if isinstance(value, torch.ScriptObject):
            yield attribute, _unpacked(value)


def _unpacked(value: torch.ScriptObject) -> list[torch.Tensor]:
    try:
        state = value.__getstate__()
    except (RuntimeError, AttributeError):  # a class that cannot be pickled
        return []
    # A recurrent layer holds a packed linear layer for each matrix, and their biases a second time.
    inner = [tensor for part in _objects_in(state) for tensor in _unpacked(part)]
    return inner or [
        each for each in tensors_in(state) if each.is_quantized or (each.dim() and each.is_floating_point())
    ]


def _objects_in(value: object) -> Iterator[torch.ScriptObject]:
    if isinstance(value, torch.ScriptObject):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _objects_in(item)


def keeps_for_quantised(name: str, tree: Tree, *, buffer: bool) -> bool:
    """Whether a tensor of this name belongs to torch's quantisation and is no weight.

    That is an attribute of a quantised layer, which is saved with what the layer packs, or a buffer of an observer: the
    range of the numbers that it has seen.
    """
    path = name.rpartition(".")[0]
    owner = next((node.module for node in tree.nodes if node.path == path), None)
    return owner is not None and (observes(owner) if buffer else is_quantised(owner))


def observes(module: torch.nn.Module) -> bool:
    """Whether torch's quantisation inserted a layer, which observes numbers or converts them."""
    kind = type(module)
    return kind.__module__.startswith("torch.ao.quantization.") or (
        kind.__name__ in _FUNCTIONAL and is_quantised(module)
    )
