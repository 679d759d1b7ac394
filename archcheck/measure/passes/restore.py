"""Restores a measured model, torch and the random states.

A forward pass may cache tensors, replace buffers, change parameters in place or swap their data. Tensors without values
must not stay in the model, because its next call would fail.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from archcheck.foundation.garbage_collection import collection_paused
from archcheck.measure.operators.computation import SMALL
from archcheck.measure.passes.random_state import random_states_kept
from archcheck.measure.passes.saved_values import Values
from archcheck.measure.subject.module_tree import Tree

_CONTAINERS = (dict, list, set, deque)


class Snapshot:
    """The state of a model: the attributes of every module with their contents, and the data of every tensor.

    The numbers of buffers and of plain tensor attributes are saved. With `values`, those of parameters and gradients
    are saved, too, because a run on real tensors may write to them.
    """

    def __init__(self, tree: Tree, *, values: bool) -> None:
        modules = [node.module for node in tree.nodes if not isinstance(node.module, torch.jit.ScriptModule)]
        scripted = (node.module for node in tree.nodes if isinstance(node.module, torch.jit.ScriptModule))
        self._scripted = [(module, module.training) for module in scripted if hasattr(module, "training")]
        self._attributes = [(module.__dict__, dict(module.__dict__)) for module in modules]
        containers, plain = _state(modules)
        self._contents = [(container, container.copy()) for container in containers if container]
        # Most containers are empty: a module has ten dictionaries of hooks.
        self._empty = [container for container in containers if not container]
        self._tensors = list(tree.tensors())
        self._data = [tensor.data for tensor in self._tensors]
        self._places = _places(self._tensors)
        kept = [tensor for _, tensor in tree.buffers()] + plain
        self._gradients = [(tensor, tensor.grad, tensor.requires_grad) for _, tensor in tree.parameters()]
        if values:
            kept += [tensor for _, tensor in tree.parameters()]
            kept += [gradient for _, gradient, _ in self._gradients if gradient is not None]
        self._values = Values(kept)

    def restore(self) -> None:
        """Restore everything."""
        self._restore_attributes()
        with torch.no_grad():
            if _places(self._tensors) != self._places:
                for tensor, data in zip(self._tensors, self._data, strict=True):
                    tensor.data = data
            self._values.restore()
            for tensor, gradient, wanted in self._gradients:
                if tensor.grad is not gradient:
                    tensor.grad = gradient
                if tensor.requires_grad is not wanted:
                    tensor.requires_grad_(wanted)

    def _restore_attributes(self) -> None:
        for now, attributes in self._attributes:
            now.clear()
            now.update(attributes)
        for scripted, training in self._scripted:
            scripted.training = training
        for container, contents in self._contents:
            if isinstance(container, list):
                container[:] = contents
            elif isinstance(container, deque):
                container.clear()
                container.extend(contents)
            else:
                container.clear()
                container.update(contents)
        for container in self._empty:
            if container:
                container.clear()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore the model at the end of the block, also after an error."""
        with defaults_kept():
            try:
                yield
            finally:
                self.restore()


def _places(tensors: list[torch.Tensor]) -> tuple[list[int], Sequence[object]]:
    """Return the addresses of tensors, with their shapes, dtypes and strides."""
    strided = torch.strided
    outsides = [(each.shape, each.dtype, each.stride() if each.layout is strided else ()) for each in tensors]
    return [_address(tensor) for tensor in tensors], outsides


def _address(tensor: torch.Tensor) -> int:
    """Return the address of a tensor, -1 if it has no memory."""
    try:
        return tensor.data_ptr()
    except RuntimeError:
        return -1


_PLAIN = frozenset({bool, int, float, str, type(None)})
_REGISTRIES = frozenset({"_parameters", "_buffers", "_modules"})
_FOREIGN = frozenset({"torch", "numpy", *sys.stdlib_module_names})


def _state(modules: list[torch.nn.Module]) -> tuple[list[Any], list[torch.Tensor]]:
    """Return the containers and the tensors in the plain attributes of modules, at any depth."""
    containers: list[Any] = []
    tensors: list[torch.Tensor] = []
    within: list[Any] = []
    for module in modules:
        for name, value in module.__dict__.items():
            kind = value.__class__
            if kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, value))):
                continue
            if isinstance(value, _CONTAINERS) and (not value or name in _REGISTRIES):
                containers.append(value)
            elif isinstance(value, torch.Tensor):
                tensors.append(value)
            else:
                within.append(value)
    _look_within(within, {id(module) for module in modules}, containers, tensors)
    return containers, tensors


def _look_within(pending: list[Any], seen: set[int], containers: list[Any], tensors: list[torch.Tensor]) -> None:
    """Add the containers, the attributes of objects and the small tensors in `pending`, at any depth."""
    while pending:
        value = pending.pop()
        if value.__class__ in _PLAIN or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.numel() <= SMALL:  # no pass by shapes writes to a larger one
                tensors.append(value)
        elif isinstance(value, tuple):
            pending += value
        else:
            container = value if isinstance(value, _CONTAINERS) else _attributes_of(value)
            if container is not None:
                containers.append(container)
                pending += container.values() if isinstance(container, Mapping) else container


def _attributes_of(value: Any) -> dict[str, Any] | None:
    """Return the attributes of an object of the subject or of an unregistered layer, else `None`."""
    kind = type(value)
    if not isinstance(value, torch.nn.Module) and str(kind.__module__).partition(".")[0] in _FOREIGN:
        return None
    attributes = getattr(value, "__dict__", None)
    return attributes if type(attributes) is dict else None


def default_device() -> torch.device | None:
    """Return the default device of this thread, `None` for torch's own default."""
    context = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    device = getattr(context, "device", None)
    return device if isinstance(device, torch.device) else None


@contextmanager
def defaults_kept() -> Iterator[None]:
    """Restore the default dtype and device at the end of the block: a forward pass may set them."""
    dtype, device = torch.get_default_dtype(), default_device()
    try:
        yield
    finally:
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if default_device() != device:
            torch.set_default_device(device)


@contextmanager
def torch_state_kept() -> Iterator[None]:
    """Restore the random states and torch's settings at the end of the block.

    In the block, attention has no fast path, which would hide its parts in one operation. The garbage collector pauses.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with collection_paused(), random_states_kept(), defaults_kept():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
