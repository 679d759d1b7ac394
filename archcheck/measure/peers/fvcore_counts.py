"""Let fvcore count a model, layer by layer, without changing the model.

fvcore runs a real forward pass under torch's tracer. It leaves its hooks in the model if that fails, and it prints
warnings. So it gets a copy in evaluation mode, and its warnings are suppressed.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.measure.loading.example import Example
from archcheck.measure.operators.meta import to_meta, without_memory
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.peers.fvcore_products import Key, Products
from archcheck.measure.shapes.containers import map_tensors, tensors_in
from archcheck.measure.subject.compiled import original_name
from archcheck.measure.subject.module_tree import Tree

_MODEL = "model"
"""The name of the model for fvcore."""


@dataclass(frozen=True, slots=True)
class Side:
    """fvcore's counts of one quantity by layer and operator, and the operators that it does not count by layer."""

    own: Mapping[Key, int]
    unknown: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of each layer without the layers inside it, with fvcore's names of operators."""

    flops: Side
    activations: Side
    products: Products


def fvcore_counts(passes: Passes, example: Example) -> Counts:
    """Return fvcore's counts of one forward pass on `example`. Raises the errors of fvcore and of the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore scripts a function when it is imported, and torch warns about it
        from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
    memory = without_memory() if passes.on_meta else nullcontext()
    with warnings.catch_warnings(), passes.untouched(values=True), torch.no_grad(), memory:
        warnings.simplefilter("ignore")
        model, tensors = _flat(passes, example)
        flops, activations = FlopCountAnalysis(model, tensors), ActivationCountAnalysis(model, tensors)
        products = Products(flops, lambda scope: _path(scope.rpartition("/")[2]))
        return Counts(_side(flops), _side(activations), products)


class _Flat(torch.nn.Module):
    """A model that takes tensors by position and returns a tuple of tensors, as torch's tracer requires."""

    def __init__(self, model: torch.nn.Module, example: Example) -> None:
        super().__init__()
        self.add_module(_MODEL, model)
        self._example = example

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        pending = iter(tensors)
        args, kwargs = map_tensors(lambda _: next(pending), (self._example.args, dict(self._example.kwargs)))
        return tuple(tensors_in(self.get_submodule(_MODEL)(*args, **kwargs)))


def _flat(passes: Passes, example: Example) -> tuple[_Flat, tuple[torch.Tensor, ...]]:
    copied = _copy(passes.model)
    set_mode(Tree(copied), training=False)
    tensors: list[torch.Tensor] = []
    map_tensors(tensors.append, (example.args, dict(example.kwargs)))
    return _Flat(copied, example), tuple(to_meta(each) if passes.on_meta else each.clone() for each in tensors)


def _copy(model: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a model, even if it stores computed tensors, which torch refuses to copy.

    The copy shares the memory of the parameters with the model, because large models would not fit twice.
    """
    values = [value for module in model.modules() for value in vars(module).values()]
    computed = [value for value in values if isinstance(value, torch.Tensor) and value.grad_fn is not None]
    shared = {id(each): _shared(each) for each in model.parameters() if type(each) is torch.nn.Parameter}
    return copy.deepcopy(model, shared | {id(tensor): tensor.detach().clone() for tensor in computed})


def _shared(parameter: torch.nn.Parameter) -> torch.nn.Parameter:
    other = torch.nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
    other.__dict__.update(parameter.__dict__)
    return other


def _side(analysis: Any) -> Side:
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counts = analysis.by_module_and_operator()
    unknown = _own({name: analysis.unsupported_ops(name) for name in counts})
    return Side(
        own={(layer, op): int(count) for layer, ops in _own(counts).items() for op, count in ops.items() if count},
        unknown={
            layer: frozenset(op.removeprefix("aten::") for op, times in ops.items() if times)
            for layer, ops in unknown.items()
        },
    )


def _own(by_layer: Mapping[str, Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Return the counts without those of the layers inside each layer, by the path of the layer in the model."""
    own = {name: Counter(counts) for name, counts in by_layer.items()}
    for name, counts in by_layer.items():
        if name:
            own[name.rpartition(".")[0]].subtract(counts)
    return {_path(name): counts for name, counts in own.items() if name}


def _path(name: str) -> str:
    """Return the path in the model for fvcore's `model.layer1`."""
    return original_name(name.partition(".")[2])
