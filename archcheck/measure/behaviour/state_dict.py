"""Probe of the saved state: whether a fresh model gives the same outputs after loading it."""

from __future__ import annotations

import copy
import io
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from archcheck.foundation.errors import described
from archcheck.measure.behaviour.closeness import distance, farthest
from archcheck.measure.behaviour.probe_context import Outputs, ProbeContext, outputs_of
from archcheck.measure.behaviour.training_batches import BatchRefused, on_batch
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.changed_parameters import nudge
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.subject.compiled import original
from archcheck.measure.subject.module_tree import Tree, join

BUDGET = 60e9
"""Most multiply-accumulates of the training batch before the state is saved."""
NAMED = 5
"""Most lost parts of the state that are named."""


def state_dict_round_trip(context: ProbeContext) -> Mapping[str, Any]:
    """Use a model, save its state, load it into a fresh model, and return how far their outputs differ.

    First the parameters move a little and the model trains on a batch of noise, so that all changing state has changed.
    `built` says that the fresh model was built again with other random numbers; else it is a copy of the unused model.
    `lost` are parts of the state that differ.
    """
    fresh, built = _fresh(context)
    with context.passes.untouched(values=True):
        trained = _use(context)
        saved, error = _saved(context)
        # Save first: a call in evaluation may change the state, as that of an observer does.
        before = {name: tensor.clone() for name, tensor in context.call(context.example).items()}
        error, after = (error, None) if saved is None else _transferred(context, saved, fresh)
        lost = [] if after is None else list(_lost(Tree(context.model), Tree(fresh)))[:NAMED]
    output, apart = ("", None) if after is None else farthest(before, after)
    return {
        "dtype": context.dtype(before),
        "built": built,
        "trained": trained,
        "error": error,
        "output": output,
        "distance": apart,
        "lost": lost,
    }


def _fresh(context: ProbeContext) -> tuple[torch.nn.Module, bool]:
    if context.fresh is not None:
        seed_all(1)
        built = original(context.fresh())
        if built is not context.model:
            return built, True
    return copy.deepcopy(context.model), False


def _use(context: ProbeContext) -> bool:
    """Change the state as training does; return whether a pass in training was possible."""
    generator = torch.Generator().manual_seed(0)
    for tensor in context.tree.tensors():
        if isinstance(tensor, torch.nn.Parameter) and tensor.is_floating_point() and tensor.numel():
            size = max(float(tensor.double().abs().mean()), 0.01)
            nudge(tensor, 0.01 * size, generator)
    try:
        on_batch(context.in_mode(True), 4, BUDGET, 1, lambda example, _: _trained(context, example))
    except Exception:  # the subject may need targets in training
        return False
    return True


def _trained(context: ProbeContext, example: Example) -> None:
    try:
        context.call(example, training=True)
    except Exception as error:
        raise BatchRefused("forward", f"the forward pass fails in training: {described(error)}") from error


def _saved(context: ProbeContext) -> tuple[io.BytesIO | None, str | None]:
    """Return the bytes of the state, or why it could not be saved."""
    memory = io.BytesIO()
    try:
        torch.save(context.model.state_dict(), memory)
    except Exception as error:  # of pickle, of torch or of the subject
        return None, f"the state cannot be saved: {described(error)}"
    memory.seek(0)
    return memory, None


def _transferred(context: ProbeContext, saved: io.BytesIO, fresh: torch.nn.Module) -> tuple[str | None, Outputs | None]:
    """Return why the fresh model could not load the state, or its outputs with the state."""
    stage = "read with `weights_only=True`"
    try:
        state = torch.load(saved, weights_only=True)
        stage = "loaded into a fresh model"
        fresh.load_state_dict(state)
    except Exception as error:  # of pickle, of torch or of the subject
        return f"the state cannot be {stage}: {described(error)}", None
    seed_all(0)
    set_mode(Tree(fresh), training=False)
    return None, outputs_of(context.example.given_to(fresh))


def _lost(used: Tree, fresh: Tree) -> Iterator[dict[str, str]]:
    """Yield the buffers and plain attributes that differ between two models with the same layers."""
    others = {node.path: node for node in fresh.nodes}
    for node in used.nodes:
        other = others.get(node.path)
        if other is None:
            continue
        buffers = dict(other.buffers)
        for name, tensor in node.buffers:
            if name not in buffers or distance(tensor, buffers[name]) != 0:
                yield {"layer": node.path, "name": join(node.path, name), "kind": "buffer"}
        plain = other.module.__dict__
        for name, value in node.module.__dict__.items():
            if name != "training" and not name.startswith("_") and _differ(value, plain.get(name)):
                yield {"layer": node.path, "name": join(node.path, name), "kind": "plain attribute"}


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return distance(one, other) != 0
    if isinstance(one, bool | int | float | str):
        return bool(one != other)
    if isinstance(one, torch.nn.Module) and isinstance(other, torch.nn.Module):
        return _differ(one.state_dict(), other.state_dict())
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() != other.keys() or any(_differ(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple | deque) and isinstance(other, list | tuple | deque):
        return len(one) != len(other) or any(map(_differ, one, other))
    return isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor)
