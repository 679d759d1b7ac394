"""Leave a measured model, torch and the random state as they were.

A forward pass may cache tensors, replace buffers, change parameters in place or swap their data. What it did
on tensors without values must not stay behind, for the model would fail at its next call.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterable, Iterator
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
        scripted = (node.module for node in tree.nodes if isinstance(node.module, torch.jit.ScriptModule))
        self._scripted = [(module, module.training) for module in scripted if hasattr(module, "training")]
        self._attributes = [(module.__dict__, dict(module.__dict__)) for module in modules]
        containers, plain = _state(modules)
        self._contents = [(container, container.copy()) for container in containers if container]
        # Nearly all: a module has ten dictionaries of hooks.
        self._empty = [container for container in containers if not container]
        self._tensors = list(tree.tensors())
        self._data = [tensor.data for tensor in self._tensors]
        self._places = _addresses(self._tensors), [tensor.shape for tensor in self._tensors]
        kept = [tensor for _, tensor in tree.buffers()] + plain
        kept += [tensor for _, tensor in tree.parameters()] if values else []
        self._values = Values(kept)
        self._gradients = [(tensor, tensor.grad) for _, tensor in tree.parameters()]

    def restore(self) -> None:
        """Put everything back."""
        self._restore_attributes()
        with torch.no_grad():
            if (_addresses(self._tensors), [tensor.shape for tensor in self._tensors]) != self._places:
                for tensor, data in zip(self._tensors, self._data, strict=True):
                    tensor.data = data
            self._values.restore()
            for tensor, gradient in self._gradients:
                if tensor.grad is not gradient:
                    tensor.grad = gradient

    def _restore_attributes(self) -> None:
        for now, attributes in self._attributes:
            now.clear()
            now.update(attributes)
        for scripted, training in self._scripted:
            scripted.training = training
        for container, contents in self._contents:
            if isinstance(container, list):
                container[:] = contents
            else:
                container.clear()
                container.update(contents)
        for container in self._empty:
            if container:
                container.clear()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Run something with the model and put it back as it was, also when that raises."""
        try:
            yield
        finally:
            self.restore()


class Values:
    """The numbers of tensors, copied together by dtype: most models have hundreds of small ones."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        groups: dict[object, list[torch.Tensor]] = {}
        with torch.no_grad():
            for tensor in tensors:
                if tensor.layout is torch.strided and tensor.device.type != "meta" and not tensor.is_quantized:
                    row = tensor.detach() if tensor.dim() == 1 else _row(tensor)
                    groups.setdefault((tensor.dtype, tensor.device), []).append(row)
            self._groups = [(rows, torch.cat(rows)) for rows in groups.values()]

    def restore(self) -> None:
        """Write the numbers back where they have changed."""
        for rows, before in self._groups:
            if not torch.equal(torch.cat(rows), before):
                for row, part in zip(rows, torch.split(before, [len(row) for row in rows]), strict=True):
                    row.copy_(part)


def _row(tensor: torch.Tensor) -> torch.Tensor:
    """Return a view of all numbers of a tensor in one row, in the order of its memory."""
    if tensor.is_contiguous():
        return tensor.detach().view(-1)
    strides = tensor.stride()
    return tensor.detach().permute(sorted(range(tensor.dim()), key=lambda axis: -strides[axis])).view(-1)


def _addresses(tensors: list[torch.Tensor]) -> list[int]:
    """Return where the numbers of tensors are, -1 for one that has none."""
    try:
        return [tensor.data_ptr() for tensor in tensors]
    except RuntimeError:
        return [_address(tensor) for tensor in tensors]


def _address(tensor: torch.Tensor) -> int:
    try:
        return tensor.data_ptr()
    except RuntimeError:
        return -1


_PLAIN = frozenset({bool, int, float, str, tuple, type(None)})


def _state(modules: list[torch.nn.Module]) -> tuple[list[Any], list[torch.Tensor]]:
    """Return the containers and the tensors among the plain attributes of modules."""
    containers: list[Any] = []
    tensors: list[torch.Tensor] = []
    for module in modules:
        for value in module.__dict__.values():
            if value.__class__ in _PLAIN:
                continue
            if isinstance(value, _CONTAINERS):
                containers.append(value)
            elif isinstance(value, torch.Tensor):
                tensors.append(value)
    return containers, tensors


@contextmanager
def untouched(tree: Tree, *, values: bool = False) -> Iterator[None]:
    """Run something with the model of `tree` and put it back as it was, also when that raises."""
    with Snapshot(tree, values=values).kept():
        yield


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
