"""Finds parts of an input that cannot be varied: iterators, images, objects that cannot be copied."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch

from archcheck.measure.shapes.arrays import address_of, is_array, tensor_of
from archcheck.measure.shapes.containers import ATOMS, PLAIN, is_tensor, keyed, map_tensors, named_tensors, tensors_in
from archcheck.measure.shapes.replays import Replay

_DATA = ("__array__", "__array_interface__", "__dlpack__", "__next__")
"""Attributes that show that an object other than a tensor holds numbers: images, tables, iterators."""


def fixed_in(value: Any) -> tuple[str, ...]:
    """Return the paths and types of parts with numbers that `map_tensors` does not reach or cannot replace."""
    return tuple(dict.fromkeys([*_opaque(value, "", {}), *_unmoved(value)]))


def _opaque(value: Any, name: str, seen: dict[int, Any]) -> Iterator[str]:
    if is_tensor(value) or value.__class__ in ATOMS or isinstance(value, PLAIN) or id(value) in seen:
        return
    seen[id(value)] = value
    if tensor_of(value) is not None or _is_plain(value):
        return
    data = any(hasattr(type(value), each) for each in _DATA) and not isinstance(value, Replay)
    holds = data or isinstance(value, torch.ScriptObject | bytearray)
    if holds and not (is_array(value) and value.dtype == object):
        if next(tensors_in(value), None) is None:
            yield _called(name, value)
        return
    for key, part in keyed(value):
        yield from _opaque(part, f"{name}.{key}" if name else key, seen)


def _is_plain(value: Any) -> bool:
    """Whether a value is a NumPy scalar, which is not varied, like Python numbers, or an array of texts."""
    numpy: Any = sys.modules.get("numpy")
    texts = is_array(value) and value.dtype.kind in "SU"
    return texts or (numpy is not None and isinstance(value, getattr(numpy, "generic", ())))


def _unmoved(value: Any) -> Iterator[str]:
    before = list(named_tensors(value))
    after = map_tensors(torch.empty_like, value)
    for (name, old), (_, new) in zip(before, named_tensors(after), strict=False):
        if new is old or address_of(new) == address_of(old) != 0:
            yield _called(name, old)


def _called(name: str, value: Any) -> str:
    return f"`{name}` ({type(value).__name__})" if name else type(value).__name__
