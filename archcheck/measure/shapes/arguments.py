"""The arguments of a dispatched operation by name, whatever way the caller spelled them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import torch

Call = Mapping[str, Any]
"""Argument name of the operator's schema -> value, defaults filled in."""


def bind(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of one call by the names of the operator's schema."""
    names, defaults = _signature(func)
    call = dict(zip(names, args, strict=False))
    call.update(kwargs)
    for name, default in defaults.items():
        call.setdefault(name, default)
    return call


@cache
def _signature(func: torch._ops.OpOverload) -> tuple[tuple[str, ...], dict[str, Any]]:
    arguments = func._schema.arguments
    names = tuple(argument.name for argument in arguments)
    return names, {argument.name: argument.default_value for argument in arguments if argument.has_default_value()}


def op_name(func: torch._ops.OpOverload) -> str:
    """Return torch's name of an operator without namespace and overload: `conv2d`; `ns::name` outside aten."""
    return _op_name(func)


@cache
def _op_name(func: torch._ops.OpOverload) -> str:
    namespace, _, name = func._schema.name.partition("::")
    return name if namespace in ("aten", "prims") else f"{namespace}::{name}"


def tensors_in(value: Any, seen: dict[int, Any] | None = None) -> Iterator[torch.Tensor]:
    """Yield the tensors in an argument, a result or a model's output, however they are nested.

    An object is looked into once: it may hold itself, as a node does that knows its parent. `seen` are those so far.
    """
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, str | bytes | int | float | complex | bool) or value is None:
        return
    else:
        seen = {} if seen is None else seen
        for item in _items(value, seen):
            yield from tensors_in(item, seen)


def named_tensors(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of a model's output as people call them: `""` for a tensor alone, else `logits`, `0.hidden`."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    parts: Mapping[Any, Any]
    if isinstance(value, Mapping):
        parts = value
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = dict(zip(value._fields, value, strict=True))
    elif isinstance(value, list | tuple):
        parts = dict(enumerate(value))
    else:
        parts = attributes_of(value)
    for key, part in parts.items():
        yield from named_tensors(part, f"{name}.{key}" if name else str(key))


def _items(value: Any, seen: dict[int, Any]) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if id(value) in seen:
        return ()
    seen[id(value)] = value  # kept, so that no other gets its identity
    return attributes_of(value).values()


def attributes_of(value: Any) -> Mapping[str, Any]:
    """Return what an object holds by name: a dataclass, one of a model library's output classes, any other of its kind.

    What is code, such as a layer, a function or a module of Python, holds nothing.
    """
    if isinstance(value, type | torch.nn.Module | ModuleType | FunctionType):
        return {}
    if dataclasses.is_dataclass(value):  # which may have slots
        return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)} | _own(value)
    return _own(value)


def _own(value: Any) -> dict[str, Any]:
    return vars(value) if hasattr(value, "__dict__") else {}


def map_tensors(function: Any, value: Any) -> Any:
    """Apply `function` to every tensor in nested lists, tuples and dictionaries, keeping everything else."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(function, item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(function, item) for item in value)
    if type(value) in _DICTIONARIES:
        mapped = value.copy()
        mapped.update((key, map_tensors(function, item)) for key, item in value.items())
        return mapped
    return value


_DICTIONARIES = frozenset({dict, OrderedDict, defaultdict})
"""Those of Python. The ones of a library may mind how they are made, and stay as they are."""


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """Return one integer an axis from torch's `int | [int] | [int, …]` arguments."""
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    return items * axes if len(items) == 1 else items
