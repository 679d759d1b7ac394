"""Convert TOML values to the annotations of a dataclass.

Supported are `int`, `float`, `str`, `bool`, `datetime.date`, `Literal`, tuples, mappings, unions and `Any`. An integer
is accepted as a `float`, a boolean is never accepted as a number, and a single value is accepted as a tuple of one.
"""

from __future__ import annotations

import datetime
import json
import math
import numbers
import re
import types
from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.quantities import expected, parse
from archcheck.foundation.words import quote

ONE_AND_MANY: dict[Any, tuple[str, str]] = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    bool: ("true or false", "booleans"),
    datetime.date: ("a date such as 2030-12-31, without quotes", "dates"),
}


LARGE = 10**20
"""From here on an integer is not written out, nor taken for a float."""


class Mismatch(ValueError):  # noqa: N818 - the name says what it is
    """A value that its annotation does not allow. `path` leads to the wrong item, and `found` shows it.

    The message goes on after the key. Of a table it goes on after `keys`, too: the keys inside it that lead there.
    """

    def __init__(self, kind: Any, found: Any, path: tuple[int | str, ...]) -> None:
        self.path = path
        self.found = show(found)
        self.keys: tuple[str, ...] = ()
        while len(self.keys) < len(path) and isinstance(key := path[len(self.keys)], str):
            self.keys += (key,)
            kind = next((get_args(each)[1] for each in (kind, *get_args(kind)) if _is_mapping(each)), Any)
        inside = " in it" if len(path) > len(self.keys) else ""
        super().__init__(f"must be {describe(kind)}, found {self.found}{inside}")


class _Unfit(ValueError):  # noqa: N818 - a mismatch on its way up
    def __init__(self, found: Any, path: tuple[int | str, ...] = ()) -> None:
        self.found = found
        self.path = path


_annotations: dict[type, Mapping[str, Any]] = {}


def annotations_of(cls: type) -> Mapping[str, Any]:
    """Return the annotations of a class and its bases by name, which Python would evaluate each time it is asked.

    Raises what evaluating them raises, such as `NameError`.
    """
    if cls not in _annotations:
        _annotations[cls] = get_type_hints(cls)
    return _annotations[cls]


def coerce(value: Any, kind: Any) -> Any:
    """Return `value`, as `tomllib` read it, as a `kind`.

    >>> coerce(["conv", "linear"], tuple[str, ...]), coerce("conv", tuple[str, ...]), coerce(1, float)
    (('conv', 'linear'), ('conv',), 1.0)

    Raises `Mismatch` when the value does not fit, `TypeError` when `kind` is not one of those understood.
    """
    try:
        return _coerce(value, kind)
    except _Unfit as unfit:
        raise Mismatch(kind, unfit.found, unfit.path) from None


def in_python(value: Any, kind: Any, unit: str | None) -> Any:
    """Return `value`, as Python code states it, as a `kind`: also a list or a set for a tuple, and a whole float or an
    integer of another library for an integer. `unit` says what it counts, so that it may be text such as `"20k"`.

    Raises `ValueError` when the value does not fit, `TypeError` when `kind` is not one of those understood.
    """
    plain = as_toml(value)
    try:
        return coerce(plain, kind)
    except Mismatch as mismatch:
        if isinstance(plain, float) and plain.is_integer() and abs(plain) < 2**53:
            with suppress(Mismatch):
                return coerce(int(plain), kind)
        if unit is None:
            raise
        if isinstance(plain, str):
            return coerce(parse(plain, unit), kind)
        if isinstance(plain, list) and any(isinstance(item, str) for item in plain):
            return coerce([parse(item, unit) if isinstance(item, str) else item for item in plain], kind)
        raise ValueError(f"must be {expected(unit)}, found {mismatch.found}") from None


def as_toml(value: Any) -> Any:
    """Return a value of Python as `tomllib` would read it: lists for tuples and sets, plain numbers, text for paths.

    Numbers and arrays of numpy and torch become what their `tolist` gives.
    """
    if not isinstance(value, type) and callable(plain := getattr(value, "tolist", None)):
        return as_toml(plain())
    if isinstance(value, Mapping):
        return {str(key): as_toml(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, tuple | list | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [as_toml(item) for item in items]
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool | float | int):
        return float(value)
    return value


def describe(kind: Any, *, many: bool = False) -> str:
    """Return what an annotation allows, for people: `a list of strings`. `None` is left out, because TOML cannot write
    it.
    """
    origin, options = get_origin(kind), get_args(kind)
    if origin is tuple:
        return ("lists" if many else "a list") + _describe_items(options)
    if origin in (Union, types.UnionType):
        chosen = [option for option in options if option is not type(None)]
        return " or ".join(describe(option, many=many) for option in chosen)
    if origin is Literal:
        return " or ".join(map(show, options))
    if _is_mapping(kind):
        return "tables" if many else "a table"
    return ONE_AND_MANY[kind][many] if kind in ONE_AND_MANY else str(kind)


def _describe_items(options: tuple[Any, ...]) -> str:
    if options[1:] == (Ellipsis,):
        return f" of {describe(options[0], many=True)}"
    return f" of {len(options)} ({', '.join(describe(option) for option in options)})"


def show(value: Any) -> str:
    """Write a value as TOML would, in short."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, int) and abs(value) >= LARGE:
        return "a huge integer"
    if value is None:
        return "None"  # of Python; TOML has nothing of the kind
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value).lower()


def toml(value: Any) -> str:
    """Write a value as TOML on one line. Raises `ArchcheckError` for one that TOML cannot hold."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        inside = ", ".join(f"{toml_key(key)} = {toml(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise ArchcheckError(
        f"a contract cannot hold {quote(repr(value))}, a {type(value).__name__}; write a function that builds the model"
    )


def toml_key(name: str) -> str:
    """Write a key as TOML: quoted only where it must be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def list_depth(kind: Any) -> int:
    """Return how many lists deep a `kind` may be: 0 for `int`, 1 for `str | tuple[str, ...]`."""
    options = [option for option in get_args(kind) if option is not Ellipsis]
    if get_origin(kind) is tuple:
        return 1 + max(map(list_depth, options), default=0)
    if get_origin(kind) in (Union, types.UnionType):
        return max(map(list_depth, options))
    return 0


def _coerce(value: Any, kind: Any) -> Any:
    origin, options = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _coerce_union(value, options)
    if origin is Literal:
        return _coerce_literal(value, options)
    if origin is tuple:
        return _coerce_tuple(value, options)
    if _is_mapping(kind):
        return _coerce_mapping(value, options)
    return _coerce_scalar(value, kind)


def _coerce_union(value: Any, options: tuple[Any, ...]) -> Any:
    failures = []
    for option in sorted(options, key=lambda option: option is not type(value)):
        try:
            return _coerce(value, option)
        except _Unfit as unfit:
            failures.append(unfit)
    raise max(failures, key=lambda unfit: len(unfit.path))


def _coerce_literal(value: Any, options: tuple[Any, ...]) -> Any:
    if (type(value), value) in [(type(option), option) for option in options]:
        return value
    raise _Unfit(value)


def _coerce_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    variadic = kinds[1:] == (Ellipsis,)
    if not isinstance(value, list):
        if not variadic:
            raise _Unfit(value)
        return (_coerce(value, kinds[0]),)
    kinds = kinds[:1] * len(value) if variadic else kinds
    if len(kinds) != len(value):
        raise _Unfit(value)
    return tuple(_coerce_item(item, kinds[index], index) for index, item in enumerate(value))


def _coerce_mapping(value: Any, kinds: tuple[Any, ...]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Unfit(value)
    return {key: _coerce_item(item, kinds[1] if kinds else Any, key) for key, item in value.items()}


def _coerce_item(item: Any, kind: Any, key: int | str) -> Any:
    try:
        return _coerce(item, kind)
    except _Unfit as unfit:
        raise _Unfit(unfit.found, (key, *unfit.path)) from None


def _coerce_scalar(value: Any, kind: Any) -> Any:
    if kind not in (*ONE_AND_MANY, type(None)):
        raise TypeError(f"a parameter cannot be a {kind}")
    if kind is float and type(value) is int and abs(value) < LARGE:
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise _Unfit(value)
    return value


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (dict, Mapping)
