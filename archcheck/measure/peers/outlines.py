"""Describes values and modules for the record of calls: shapes and settings, no tensor."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from archcheck.facts.calls import Module, Outline
from archcheck.measure.subject.compiled import original
from archcheck.measure.subject.module_tree import Node, Tree

_LIBRARIES = ("torch.nn.modules.", "torchvision.ops.", "timm.layers.", "timm.models.")
_PLAIN = (bool, int, float, str)


def outline(value: Any) -> Outline:
    """Describe a value as `archcheck.facts.calls` says."""
    if isinstance(value, torch.Tensor):
        return {"shape": [int(size) for size in value.shape]}
    if isinstance(value, PackedSequence):
        sizes = value.batch_sizes
        return {"packed": list(value.data.shape), "batch": int(sizes.max()), "steps": len(sizes)}
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {"items": [outline(each) for each in value.values()]}
    if isinstance(value, tuple | list):
        return [outline(each) for each in value]
    return {"type": type(value).__name__}


def modules_of(tree: Tree) -> Iterator[Module]:
    """Yield the modules of a tree as counters find them."""
    paths = {id(node.module): node.path for node in tree.nodes}
    parents: dict[str, dict[str, None]] = {}
    children: dict[str, int] = {}
    for node in tree.nodes:
        for child in _children(node.module):
            children[node.path] = children.get(node.path, 0) + 1
            parents.setdefault(paths[id(child)], {})[node.path] = None
    for node in tree.nodes:
        cls = type(node.module)
        bases = tuple(_qualified(base) for base in cls.__mro__ if _is_known(base))
        yield Module(
            path=node.path,
            type=cls.__name__,
            bases=bases,
            exact=_is_known(cls),
            leaf=not children.get(node.path),
            scripted=isinstance(node.module, torch.jit.ScriptModule),
            settings=_settings(node.module),
            tensors=_tensors(node),
            weights=_weights(node),
            parents=tuple(parents.get(node.path, ())),
        )


def _children(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    for child in module._modules.values():
        if child is not None:
            yield original(child)


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_known(cls: type) -> bool:
    """Whether a class is one of torch's layers or of a companion library, and not one that only says so."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__.startswith(_LIBRARIES) and getattr(module, cls.__name__, None) is cls


def _settings(module: torch.nn.Module) -> dict[str, Any]:
    own = vars(module)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in own.items()
        if not name.startswith("_") and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return len(value) <= 8 and all(isinstance(each, _PLAIN) for each in value)
    return value is None or isinstance(value, _PLAIN)


def _tensors(node: Node) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a module's own tensors, plain attributes among them, as pruning leaves them."""
    plain = [(name, value) for name, value in vars(node.module).items() if isinstance(value, torch.Tensor)]
    return {name: tuple(map(int, each.shape)) for name, each in (*node.parameters, *node.buffers, *plain)}


def _weights(node: Node) -> dict[str, int]:
    """Return the elements of a module's own parameters, each once, those behind a mask as far as it leaves them."""
    buffers, found, seen = dict(node.buffers), dict[str, int](), set[int]()
    for name, parameter in node.parameters:
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        plain = name.removesuffix("_orig")
        mask = buffers.get(f"{plain}_mask") if plain != name else None
        if mask is None:
            found[name] = parameter.numel()
        else:
            found[plain] = mask.numel() if mask.device.type == "meta" else int(mask.sum())
    return found
