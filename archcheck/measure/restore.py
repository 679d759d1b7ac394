"""Leave a measured model, torch and the random state as they were.

A forward pass may cache tensors, replace buffers, change parameters in place or swap their data. What it did
on tensors without values must not stay behind, for the model would fail at its next call.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from archcheck.measure.tree import Tree

_CONTAINERS = (dict, list, set)


class Snapshot:
    """The state of a model: attributes of every module, contents of their containers, data of every tensor.

    With `values`, the numbers of parameters are kept, too: a run on real tensors may write to them. Buffers and
    plain tensor attributes always keep theirs.
    """

    def __init__(self, tree: Tree, *, values: bool) -> None:
        modules = [node.module for node in tree.nodes if not isinstance(node.module, torch.jit.ScriptModule)]
        self._attributes = [(module, dict(module.__dict__)) for module in modules]
        self._containers = list(_contents(modules))
        self._data = [(tensor, tensor.data) for _, tensor in (*tree.parameters(), *tree.buffers())]
        kept = [tensor for _, tensor in tree.buffers()] + list(_plain_tensors(modules))
        kept += [tensor for _, tensor in tree.parameters()] if values else []
        self._values = [(tensor, tensor.detach().clone()) for tensor in kept if tensor.device.type != "meta"]
        self._gradients = [(tensor, tensor.grad) for _, tensor in tree.parameters()]

    def restore(self) -> None:
        """Put everything back."""
        for module, attributes in self._attributes:
            module.__dict__.clear()
            module.__dict__.update(attributes)
        for container, contents in self._containers:
            _refill(container, contents)
        with torch.no_grad():
            for tensor, data in self._data:
                if tensor.untyped_storage()._cdata != data.untyped_storage()._cdata:
                    tensor.data = data
            for tensor, before in self._values:
                if tensor.shape == before.shape and not torch.equal(tensor, before):
                    tensor.copy_(before)
            for tensor, gradient in self._gradients:
                tensor.grad = gradient


def _contents(modules: list[torch.nn.Module]) -> Iterator[tuple[Any, Any]]:
    for module in modules:
        for value in module.__dict__.values():
            if isinstance(value, _CONTAINERS):
                yield value, value.copy()


def _plain_tensors(modules: list[torch.nn.Module]) -> Iterator[torch.Tensor]:
    for module in modules:
        for value in module.__dict__.values():
            if isinstance(value, torch.Tensor):
                yield value


def _refill(container: Any, contents: Any) -> None:
    if not container and not contents:  # nearly all: a module has ten dictionaries of hooks
        return
    if isinstance(container, list):
        container[:] = contents
    else:
        container.clear()
        container.update(contents)


@contextmanager
def untouched(tree: Tree, *, values: bool = False) -> Iterator[None]:
    """Run something with the model of `tree` and put it back as it was, also when that raises."""
    snapshot = Snapshot(tree, values=values)
    try:
        yield
    finally:
        snapshot.restore()


@contextmanager
def same_torch() -> Iterator[None]:
    """Put the random states and torch's switches back; attention shows its parts meanwhile.

    The fast path of attention would hide them in one operation. The collector of cyclic garbage pauses: with torch
    imported, one of its sweeps takes longer than measuring most networks.
    """
    collecting = gc.isenabled()
    gc.disable()
    states = torch.get_rng_state(), random.getstate()
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy is not None else None
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        torch.backends.mha.set_fastpath_enabled(fast_path)
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        if numpy is not None and numpy_state is not None:
            numpy.random.set_state(numpy_state)
