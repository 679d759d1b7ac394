"""Dataclasses to JSON values and back, guided by their annotations.

One codec serves facts, findings and reports, so that a value read back equals the value written.
Fields that hold their default are written all the same: readers outside rely on the keys.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn a tree of dataclasses, enums, tuples and mappings into plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(kind: type[T], value: Any) -> T:
    """Read `value` (as `encode` wrote it) as a `kind`.

    Raises `ValueError` when a key is missing or a value has another type; unknown keys are ignored, so that
    an older reader understands a newer writer of the same schema.
    """
    return cast(T, _decode(kind, value))


def _decode(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(kind, value)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value)
    if origin in (dict, Mapping) or kind is dict:
        return _decode_mapping(typing.get_args(kind), value)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(cast(type, kind), value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    return _decode_scalar(kind, value)


def _decode_scalar(kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is type(None) and value is None:
        return None
    if type(value) is kind:
        return value
    raise ValueError(f"expected {getattr(kind, '__name__', kind)}, found {value!r}")


def _decode_union(kind: Any, value: Any) -> Any:
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    if value is None and len(options) < len(typing.get_args(kind)):
        return None
    if len(options) == 1:
        return _decode(options[0], value)
    for option in options:
        try:
            return _decode(option, value)
        except ValueError:
            continue
    raise ValueError(f"expected {kind}, found {value!r}")


def _decode_tuple(items: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, found {value!r}")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_decode(items[0], item) for item in value)
    if len(items) != len(value):
        raise ValueError(f"expected {len(items)} items, found {value!r}")
    return tuple(_decode(kind, item) for kind, item in zip(items, value, strict=True))


def _decode_mapping(items: tuple[Any, ...], value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a table, found {value!r}")
    item_kind = items[1] if items else Any
    return {str(key): _decode(item_kind, item) for key, item in value.items()}


def _decode_dataclass(kind: type, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected {kind.__name__}, found {value!r}")
    arguments = {}
    for name, annotation, required in _fields(kind):
        if name in value:
            arguments[name] = _decode(annotation, value[name])
        elif required:
            raise ValueError(f"{kind.__name__} lacks the key `{name}`")
    return kind(**arguments)


@cache
def _fields(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            field.name,
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    )
