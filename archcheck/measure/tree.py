"""The module tree and its tensors, read without calling anything that the subject could have overridden.

`nn.Module.parameters()` asks `self.named_modules()`, and a subject may define both. The dictionaries in which
`nn.Module.__setattr__` keeps children, parameters and buffers are the truth that torch itself runs on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Node:
    """A module under its first path, with its own children and tensors by name."""

    path: str
    module: torch.nn.Module
    parameters: tuple[tuple[str, torch.Tensor], ...]
    buffers: tuple[tuple[str, torch.Tensor], ...]


class Tree:
    """The modules of a model in the order of `named_modules`, each once, under its first path."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.nodes: tuple[Node, ...] = tuple(_walk(model))
        self._paths = {id(node.module): node.path for node in self.nodes}
        self.names = self._name_tensors()

    def path_of(self, module: torch.nn.Module) -> str | None:
        """Return the path of a registered module, `None` for one that the model does not own."""
        return self._paths.get(id(module))

    def parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every parameter under every name; a tied one comes more than once."""
        for node in self.nodes:
            yield from ((join(node.path, name), tensor) for name, tensor in node.parameters)

    def buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every buffer under every name."""
        for node in self.nodes:
            yield from ((join(node.path, name), tensor) for name, tensor in node.buffers)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter and buffer by its first name."""
        return {self.names[id(tensor)]: tuple(tensor.shape) for _, tensor in (*self.parameters(), *self.buffers())}

    def _name_tensors(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for name, tensor in (*self.parameters(), *self.buffers()):
            names.setdefault(id(tensor), name)
        return names


def join(path: str, name: str) -> str:
    """Return the dotted name of a child."""
    return f"{path}.{name}" if path else name


def _walk(model: torch.nn.Module) -> Iterator[Node]:
    seen: set[int] = set()
    pending: list[tuple[str, torch.nn.Module]] = [("", model)]
    while pending:
        path, module = pending.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield Node(path, module, _tensors(module, "_parameters"), _tensors(module, "_buffers"))
        children = _entries(module, "_modules")
        pending += [(join(path, name), child) for name, child in reversed(children) if child is not None]


def lazy_tensors(module: torch.nn.Module) -> list[torch.Tensor]:
    """Return the parameters and buffers of a module that wait for its first input."""
    own = (*_entries(module, "_parameters"), *_entries(module, "_buffers"))
    return [tensor for _, tensor in own if isinstance(tensor, torch.Tensor) and torch.nn.parameter.is_lazy(tensor)]


def _tensors(module: torch.nn.Module, attribute: str) -> tuple[tuple[str, torch.Tensor], ...]:
    """Return the tensors that have a size: a lazy layer that is never called has none."""
    return tuple(
        (name, tensor)
        for name, tensor in _entries(module, attribute)
        if isinstance(tensor, torch.Tensor) and not torch.nn.parameter.is_lazy(tensor)
    )


def _entries(module: torch.nn.Module, attribute: str) -> list[tuple[str, Any]]:
    if isinstance(module, torch.jit.ScriptModule):
        return list(getattr(module, attribute).items())
    own: dict[str, Any] = object.__getattribute__(module, "__dict__").get(attribute) or {}
    return list(own.items())
