"""The arguments of a dispatched operation by name, whatever way the caller spelled them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
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


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in an argument, a result or a model's output, however they are nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, str | bytes | int | float | complex | bool) or value is None:
        return
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from tensors_in(item)
    elif hasattr(value, "__dict__") and not isinstance(value, type | torch.nn.Module):
        # Dataclasses and the output classes of model libraries.
        yield from tensors_in(vars(value))


def map_tensors(function: Any, value: Any) -> Any:
    """Apply `function` to every tensor in nested lists, tuples and mappings, keeping everything else."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(function, item) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(function, item) for item in value)
    if type(value) is dict:
        return {key: map_tensors(function, item) for key, item in value.items()}
    return value


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """Return one integer an axis from torch's `int | [int] | [int, …]` arguments."""
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    return items * axes if len(items) == 1 else items
