"""Models with lazy layers, which create their parameters at their first input."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext

import torch

from archcheck.facts.operator_costs import Stated
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.meta import is_without_memory, without_memory
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.forward_errors import forward_error
from archcheck.measure.subject.module_tree import Tree


def passes_of(model: torch.nn.Module, example: Example | None, costs: Mapping[str, Stated] | None = None) -> Passes:
    """Return the passes of `model`, or of a copy whose lazy layers have created their parameters.

    Raises:
        SubjectError: the forward pass of the copy failed.
    """
    passes = Passes(model, costs)
    if example is None or not passes.tree.is_lazy:
        return passes
    copied = copy.deepcopy(model, {id(tensor): _blank(tensor) for tensor in _lazy_buffers(model)})
    on_meta = is_without_memory(tensor for module in model.modules() for tensor in module._parameters.values())
    try:
        with torch.no_grad(), without_memory() if on_meta else nullcontext():
            example.given_to(copied.eval())
    except Exception as error:
        raise forward_error(example, error, Tree(copied)) from error
    return Passes(copied, costs)


def _lazy_buffers(model: torch.nn.Module) -> list[torch.nn.UninitializedBuffer]:
    """Return the buffers that wait for their first input. Torch cannot copy them."""
    found = (each for module in model.modules() for each in module._buffers.values())
    return [each for each in found if isinstance(each, torch.nn.UninitializedBuffer)]


def _blank(buffer: torch.nn.UninitializedBuffer) -> torch.nn.UninitializedBuffer:
    return torch.nn.UninitializedBuffer(device=buffer.device, dtype=buffer.dtype)  # type: ignore[call-arg]
