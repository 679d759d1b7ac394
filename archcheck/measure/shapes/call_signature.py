"""The signature of an operator's call: calls with the same signature give results of the same shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from archcheck.measure.shapes.tensor import ShapeTensor, TensorMetadata, metadata_of

CallSignature = tuple[Any, ...]
"""The operator, the metadata of its operands, and its other arguments."""

_PLAIN = frozenset({int, type(None), str, torch.dtype, torch.device, torch.layout, torch.memory_format})
"""Types whose values equal only values of the same type; `True`, `1` and `1.0` equal one another."""
_NUMBERS = frozenset({float, bool, complex})


class CallSignatures:
    """Makes the signatures of calls, in all passes of a model; `names` has the ids of its parameters and buffers."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._known: dict[int, TensorMetadata] = {}

    def of(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        without_values: Callable[[torch.Tensor], bool],
    ) -> tuple[CallSignature, list[torch.Tensor], bool]:
        """Return the signature of a call, the tensors in it, and whether one of them has no values."""
        self._without_values = without_values
        key: list[Any] = [id(func)]
        tensors: list[torch.Tensor] = []
        found = self._read(args, key, tensors)
        if kwargs:
            found |= self._read(kwargs.items(), key, tensors)
        return tuple(key), tensors, found

    def _read(self, values: Iterable[Any], key: list[Any], tensors: list[torch.Tensor]) -> bool:
        found = False
        for value in values:
            kind = type(value)  # `__class__` may be spoofed
            if kind is ShapeTensor:
                tensors.append(value)
                key.append(value.metadata)
                found = True
            elif kind in _PLAIN:
                key.append(value)
            elif kind is tuple or kind is list:
                if value and value[0].__class__ is int:
                    key.append(tuple(value))
                else:
                    key.append(len(value))
                    found |= self._read(value, key, tensors)
            elif (
                (known := self._known.get(id(value))) is not None
                and known.shape == value.shape
                and known.dtype is value.dtype
            ):
                tensors.append(value)
                key.append(known)
                found = True
            elif isinstance(value, torch.Tensor):
                tensors.append(value)
                key.append(self._metadata(value))
                found |= self._without_values(value)
            elif kind in _NUMBERS:
                key += (kind, value)
            else:  # without a comparable value it equals nothing else
                key.append(object())
        return found

    def _metadata(self, tensor: torch.Tensor) -> object:
        """Return the metadata of a real tensor; that of a parameter is remembered."""
        if tensor.layout is not torch.strided:
            return object()
        metadata = metadata_of(tensor)
        if id(tensor) in self._names:
            self._known[id(tensor)] = metadata
        return metadata
