"""Read the values in the graph of an exported program, in the format in which torch writes them.

Every value is a table with one key for its kind, such as `{"as_ints": [2, 2]}`. The numbers of dtypes are those of
torch's schema (`torch/_export/serde/schema.py`). No name is looked up in a module, and no expression is evaluated.
Kinds that represent Python objects are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.measure.artifacts.dtypes import installed

_DTYPE_NAMES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn",
    30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip
DTYPES: Mapping[int, torch.dtype] = installed(_DTYPE_NAMES)
"""The dtypes by their numbers in the schema."""

_FORMATS = {
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d, 4: torch.preserve_format,
}  # fmt: skip
_LAYOUTS = {1: torch.sparse_coo, 2: torch.sparse_csr, 7: torch.strided}
_NOT_FINITE = ("Infinity", "-Infinity", "NaN")


class Foreign(Exception):  # noqa: N818 - a property of the file, not an error of the reader
    """The file needs foreign code; the message names what would run."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of another node, or an input of the graph."""

    name: str


@dataclass(frozen=True, slots=True)
class Subgraph:
    """The table of a graph within the graph."""

    graph: Mapping[str, Any]


def tagged(value: Any) -> tuple[str, Any]:
    """Return the only key of a table and its value. Raises `ValueError` for anything else."""
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"expected a table with one key, found {str(value)[:60]}")
    ((key, inner),) = value.items()
    return key, inner


def entry(table: Any, key: str, kind: type) -> Any:
    """Return `table[key]`. Raises `ValueError` unless it is of `kind`."""
    value = table.get(key) if isinstance(table, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected `{key}` to be a {kind.__name__}")
    return value


def argument(value: Any) -> Any:
    """Return the value of an argument: a plain value, a `Ref`, a `Subgraph`, or lists and tables of these.

    Raises `ValueError` if it is malformed, and `Foreign` for a kind that needs foreign code.
    """
    kind, inner = tagged(value)
    if kind not in _READERS:
        raise Foreign(f"an argument of the kind `{str(kind)[:40]}`")
    return _READERS[kind](inner)


def _ref(value: Any) -> Ref:
    return Ref(entry(value, "name", str))


def _number(value: Any) -> float:
    if value not in _NOT_FINITE and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"expected a number, found {str(value)[:60]}")
    return float(value)


def _plain(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"expected a value of {kind.__name__}, found {str(value)[:60]}")
        return value

    return read


def _named(value: Any) -> Any:
    """Return a known number, or the name of a number that a node computes."""
    kind, inner = tagged(value)
    readers = {"as_name": _plain(str), "as_int": _plain(int), "as_float": _number, "as_bool": _plain(bool)}
    if kind not in readers:
        raise ValueError(f"expected a number or a name, found `{str(kind)[:40]}`")
    read = readers[kind](inner)
    return Ref(read) if kind == "as_name" else read


def _optional(value: Any) -> Any:
    kind, inner = tagged(value)
    return _ref(inner) if kind == "as_tensor" else None


def _each(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, found {str(value)[:60]}")
        return [read(item) for item in value]

    return read_all


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {str(value)[:60]}")
    return {key: argument(item) for key, item in value.items()}


def _among(known: Mapping[int, Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not int or value not in known:
            raise ValueError(f"a dtype, layout or memory format that is not known: {str(value)[:20]}")
        return known[value]

    return read


_ITEMS: Mapping[str, Callable[[Any], Any]] = {
    "tensor": _ref,
    "optional_tensor": _optional,
    "int": _plain(int),
    "float": _number,
    "bool": _plain(bool),
    "string": _plain(str),
    **dict.fromkeys(("sym_int", "sym_float", "sym_bool"), _named),
}
_READERS: Mapping[str, Callable[[Any], Any]] = {
    **{f"as_{name}": read for name, read in _ITEMS.items()},
    **{f"as_{name}s": _each(read) for name, read in _ITEMS.items()},
    "as_nested_tensors": _each(_each(_ref)),
    "as_int_lists": _each(_each(_plain(int))),
    "as_float_lists": _each(_each(_number)),
    "as_none": lambda value: None,
    "as_complex": lambda value: complex(entry(value, "real", float), entry(value, "imag", float)),
    "as_scalar_type": _among(DTYPES),
    "as_memory_format": _among(_FORMATS),
    "as_layout": _among(_LAYOUTS),
    "as_device": lambda value: torch.device("cpu"),  # wherever it was exported, it is measured here
    "as_graph": lambda value: Subgraph(entry(value, "graph", dict)),
    "as_string_to_argument": _table,
}
