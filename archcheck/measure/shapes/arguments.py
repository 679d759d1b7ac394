"""The arguments of a dispatched operation by name, positional or not."""

from __future__ import annotations

from collections.abc import Mapping
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


@cache
def op_name(func: torch._ops.OpOverload) -> str:
    """Return torch's name of an operator without namespace and overload: `conv2d`; `ns::name` outside aten."""
    namespace, _, name = func._schema.name.partition("::")
    return name if namespace in ("aten", "prims") else f"{namespace}::{name}"


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """Return one integer per axis from an `int | [int] | [int, …]` argument of torch."""
    items = tuple(value) if isinstance(value, list | tuple) else (value,)
    return items * axes if len(items) == 1 else items
