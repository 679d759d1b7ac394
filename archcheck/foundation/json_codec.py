"""Convert dataclasses to JSON values and back, by their annotations.

One codec serves facts, findings and reports, so that a value read back equals the value written. Fields with their
default value are written, too, because other programs rely on the keys. A field whose metadata say `written: False` is
neither written nor read.
"""

from __future__ import annotations

import dataclasses
import enum
import reprlib
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from functools import cache, partial
from typing import Any, TypeVar, cast

T = TypeVar("T")


_PLAIN = frozenset({str, int, float, bool, type(None)})

Reader = Callable[[Any], Any]
"""Reads a JSON value as one kind of value; raises `ValueError` for any other."""


class Misfit(ValueError):  # noqa: N818 - the name says what it is
    """A value of another kind than expected, or a missing key; `path` leads to it from the outermost value."""

    def __init__(self, reason: str, path: tuple[str | int, ...] = ()) -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{reason} at {_way(path)}" if path else reason)


def _way(path: tuple[str | int, ...]) -> str:
    """Return `a.totals.inputs[0]`. A key that is not an identifier is quoted."""
    plain = (step if isinstance(step, int) or step.isidentifier() else reprlib.repr(step) for step in path)
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in plain).removeprefix(".")


def _unlike(wanted: object, value: Any) -> Misfit:
    return Misfit(f"expected {wanted}, found {reprlib.repr(value)}")


def encode(value: Any) -> Any:
    """Turn a tree of dataclasses, enums, tuples and mappings into plain JSON values."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if kind is tuple or isinstance(value, list | tuple):
        return [item if item.__class__ in _PLAIN else encode(item) for item in value]
    if names := _names(kind):
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return value


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in written_fields(kind)) if dataclasses.is_dataclass(kind) else ()


def written_fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    """Return the fields of a dataclass that `encode` writes."""
    return tuple(field for field in dataclasses.fields(kind) if field.metadata.get("written", True))


def decode(kind: type[T], value: Any, *, at: str = "") -> T:
    """Return `value`, as `encode` wrote it, as a `kind`; `at` is its key in a document.

    Raises `ValueError` with the place if a key is missing or a value has another type. Unknown keys are ignored, so
    that an older reader understands a newer writer of the same schema.
    """
    reader = _reader(cast(Hashable, kind))
    return cast(T, _read_inside(reader, at, value) if at else reader(value))


@cache
def _reader(kind: Any) -> Reader:
    """Return the reader of an annotation, computed once for all values that have it."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return lambda value: value
    if origin in (typing.Union, types.UnionType):
        return _union_reader(kind)
    if origin is tuple:
        return _tuple_reader(typing.get_args(kind))
    if origin in (dict, Mapping) or kind is dict:
        return _mapping_reader(typing.get_args(kind))
    if dataclasses.is_dataclass(kind):
        return partial(_read_dataclass, cast(type, kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    return partial(_read_scalar, kind)


def _read_scalar(kind: type, value: Any) -> Any:
    if type(value) is kind:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise _unlike(getattr(kind, "__name__", kind), value)


def _union_reader(kind: Any) -> Reader:
    options = [option for option in typing.get_args(kind) if option is not type(None)]
    optional = len(options) < len(typing.get_args(kind))
    readers = [_reader(option) for option in options]

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        if len(readers) == 1:
            return readers[0](value)
        for reader in readers:
            try:
                return reader(value)
            except ValueError:
                continue
        raise _unlike(kind, value)

    return read


def _read_inside(reader: Reader, step: str | int, value: Any) -> Any:
    try:
        return reader(value)
    except Misfit as error:
        raise Misfit(error.reason, (step, *error.path)) from None
    except ValueError as error:
        raise Misfit(str(error), (step,)) from None


def _tuple_reader(items: tuple[Any, ...]) -> Reader:
    repeated = len(items) == 2 and items[1] is Ellipsis
    readers = [_reader(kind) for kind in (items[:1] if repeated else items)]

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _unlike("a list", value)
        if not repeated and len(readers) != len(value):
            raise _unlike(f"{len(readers)} items", value)
        chosen = readers * len(value) if repeated else readers
        return tuple(
            _read_inside(reader, index, item) for index, (reader, item) in enumerate(zip(chosen, value, strict=True))
        )

    return read


def _mapping_reader(items: tuple[Any, ...]) -> Reader:
    reader = _reader(items[1] if items else Any)

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _unlike("a table", value)
        return {str(key): _read_inside(reader, str(key), item) for key, item in value.items()}

    return read


def _read_dataclass(kind: type, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise _unlike(kind.__name__, value)
    arguments = {}
    for name, reader, required in _fields(kind):
        if name in value:
            arguments[name] = _read_inside(reader, name, value[name])
        elif required:
            raise Misfit(f"{kind.__name__} lacks the key `{name}`")
    return kind(**arguments)


@cache
def _fields(kind: type) -> tuple[tuple[str, Reader, bool], ...]:
    hints = typing.get_type_hints(kind)
    return tuple(
        (
            field.name,
            _reader(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in written_fields(kind)
    )
