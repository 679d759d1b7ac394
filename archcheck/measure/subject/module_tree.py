"""Read the module tree and its tensors without calling methods that the subject may override.

`nn.Module.parameters()` calls `self.named_modules()`, and a subject may define both. Torch itself uses the dictionaries
in which `nn.Module.__setattr__` stores children, parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from archcheck.measure.subject.compiled import original


class Node(NamedTuple):
    """A module with its first path and its own tensors by name; the original one of a compiled module."""

    path: str
    module: torch.nn.Module
    parameters: tuple[tuple[str, torch.Tensor], ...]
    buffers: tuple[tuple[str, torch.Tensor], ...]
    lazy: bool


class Tree:
    """The modules of a model in the order of `named_modules`, each once, under its first path."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.nodes: tuple[Node, ...] = tuple(_walk(model))
        self._paths = {id(node.module): node.path for node in self.nodes}
        self.names: dict[int, str] = {}
        self.extents: dict[int, torch.Size] = {}
        """The shapes of parameters and buffers by identity, as they were before anything ran."""
        self._unique: dict[int, torch.Tensor] = {}
        self._parameters = [(join(node.path, name), each) for node in self.nodes for name, each in node.parameters]
        self._buffers = [(join(node.path, name), each) for node in self.nodes for name, each in node.buffers]
        for name, tensor in (*self._parameters, *self._buffers):
            self.names.setdefault(id(tensor), name)
            self._unique.setdefault(id(tensor), tensor)
            self.extents.setdefault(id(tensor), tensor.shape)

    def path_of(self, module: torch.nn.Module) -> str | None:
        """Return the path of a registered module, `None` for one that the model does not contain."""
        return self._paths.get(id(module))

    def type_of(self, path: str) -> str:
        """Return the name of the class of the layer at a path."""
        return next(type(node.module).__name__ for node in self.nodes if node.path == path)

    def parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every parameter under every name, a tied one several times."""
        return iter(self._parameters)

    def buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every buffer under every name."""
        return iter(self._buffers)

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield every parameter and buffer once."""
        return iter(self._unique.values())

    def trained(self) -> set[str]:
        """Return the first names of the parameters that require gradients now."""
        with torch._C.DisableTorchFunctionSubclass():  # a tensor class of the subject may override the attribute
            return {self.names[id(tensor)] for _, tensor in self._parameters if tensor.requires_grad}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter and buffer by its first name."""
        return {name: tuple(self.extents[key]) for key, name in self.names.items()}

    @property
    def is_lazy(self) -> bool:
        """Whether a layer waits for its first input to make its parameters."""
        return any(node.lazy for node in self.nodes)


def join(path: str, name: str) -> str:
    """Return the dotted name of a child."""
    return f"{path}.{name}" if path else name


def _walk(model: torch.nn.Module) -> Iterator[Node]:
    seen: set[int] = set()
    pending: list[tuple[str, torch.nn.Module]] = [("", model)]
    while pending:
        path, module = pending.pop()
        module = original(module)
        if id(module) in seen:
            continue
        seen.add(id(module))
        parameters, buffers = _tensors(module, "_parameters"), _tensors(module, "_buffers")
        lazy = _any_lazy(parameters) or _any_lazy(buffers)
        yield Node(path, module, _sized(parameters), _sized(buffers), lazy)
        for name, child in reversed(_entries(module, "_modules")):
            if child is not None:
                pending.append((join(path, name), child))


_Tensors = tuple[tuple[str, torch.Tensor], ...]


def _tensors(module: torch.nn.Module, attribute: str) -> _Tensors:
    entries = _entries(module, attribute)
    return tuple([entry for entry in entries if isinstance(entry[1], torch.Tensor)]) if entries else ()


def _sized(tensors: _Tensors) -> _Tensors:
    """Return the tensors that have a size, without those of lazy layers that were never called."""
    return tuple([entry for entry in tensors if not _is_lazy(entry[1])]) if _any_lazy(tensors) else tensors


def _any_lazy(tensors: _Tensors) -> bool:
    for _, tensor in tensors:  # noqa: SIM110 - a generator is slower for the few tensors of most layers
        if type(tensor) not in _ORDINARY and _is_lazy(tensor):
            return True
    return False


_is_lazy = torch.nn.parameter.is_lazy
_ORDINARY = (torch.nn.Parameter, torch.Tensor)


def _entries(module: torch.nn.Module, attribute: str) -> list[tuple[str, Any]]:
    own: dict[str, Any] = object.__getattribute__(module, "__dict__")
    entries = own.get(attribute)
    if entries is None and isinstance(module, torch.jit.ScriptModule):
        return list(getattr(module, attribute).items())
    return list(entries.items()) if entries else []
