"""Make the tensors of an exported program from the raw bytes in its archive. This runs no code of the file."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import torch

from archcheck.measure.artifacts.archive import Archive, refuse
from archcheck.measure.artifacts.pickles import REPEATED, repeats, unpickled
from archcheck.measure.artifacts.schema_values import DTYPES, entry, tagged

_MOST_AXES = 64
_KINDS = {"weights": "weight_", "constants": "tensor_"}
"""The kinds of tensors in an archive -> the prefix of their entries with raw bytes."""


def tensors_of(archive: Archive, kind: str, model: str) -> dict[str, torch.Tensor]:
    """Return the tensors of `kind`, `"weights"` or `"constants"`, by name. Tensors that share memory in the file do so
    here.

    Raises:
        SubjectError: an entry is damaged, or is a pickle that holds more than tensors.
    """
    legacy = f"data/{kind}/{model}.pt"
    if legacy in archive.names:
        return _unpickled_all(archive, legacy)
    try:
        config = entry(json.loads(archive.read(f"data/{kind}/{model}_{kind}_config.json")), "config", dict)
        return dict(_made(archive, kind, config))
    except (ValueError, RecursionError) as error:
        archive.damaged(f"{kind}: {str(error)[:200]}")


def _made(archive: Archive, kind: str, config: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    storages: dict[str, bytearray] = {}
    made: dict[object, torch.Tensor] = {}
    for name, payload in config.items():
        path = entry(payload, "path_name", str)
        if not path.startswith(_KINDS[kind]):
            _refuse_object(archive, name)
        full = f"data/{kind}/{path}"
        if payload.get("use_pickle"):
            yield name, _unpickled(archive, full, name)
            continue
        if path not in storages:
            storages[path] = bytearray(archive.read(full))
        metadata = _metadata(entry(payload, "tensor_meta", dict))
        is_param = payload.get("is_param") is True
        key = path, metadata, is_param
        if key not in made:
            made[key] = _tensor(storages[path], name, metadata, is_param=is_param)
        yield name, made[key]


_Metadata = tuple[torch.dtype, tuple[int, ...], tuple[int, ...], int, bool]
"""Dtype, shape, strides, offset, and whether the tensor requires gradients."""


def _metadata(meta: Mapping[str, Any]) -> _Metadata:
    number = entry(meta, "dtype", int)
    if number not in DTYPES or entry(meta, "layout", int) != 7:
        raise ValueError(f"a tensor of an unknown dtype or layout ({number})")
    sizes, strides = numbers(entry(meta, "sizes", list)), numbers(entry(meta, "strides", list))
    (offset,) = numbers([meta.get("storage_offset")])
    if len(sizes) != len(strides) or len(sizes) > _MOST_AXES or min((*sizes, *strides, offset)) < 0:
        raise ValueError(f"a tensor of shape {sizes[:8]} with strides {strides[:8]} from {offset}")
    return DTYPES[number], sizes, strides, offset, entry(meta, "requires_grad", bool)


def numbers(values: list[Any]) -> tuple[int, ...]:
    """Return sizes as integers. Raises `ValueError` for sizes that are not known."""
    found = []
    for value in values:
        kind, inner = tagged(value)
        if kind != "as_int" or type(inner) is not int or not -(2**62) < inner < 2**62:
            raise ValueError(f"a size that is not a number: {str(value)[:60]}")
        found.append(inner)
    return tuple(found)


def _tensor(storage: bytearray, name: str, metadata: _Metadata, *, is_param: bool) -> torch.Tensor:
    dtype, sizes, strides, offset, trained = metadata
    reach = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) + 1
    needed = reach * dtype.itemsize if math.prod(sizes) else 0
    if needed > len(storage) or math.prod(sizes) > max(len(storage), REPEATED):
        raise ValueError(f"`{name}` takes {needed:,} bytes, the archive holds {len(storage):,}")
    whole = len(storage) // dtype.itemsize * dtype.itemsize
    flat = torch.frombuffer(storage, dtype=torch.uint8)[:whole].view(dtype) if whole else torch.empty(0, dtype=dtype)
    tensor = flat.as_strided(sizes, strides, offset) if needed else torch.empty(sizes, dtype=dtype)
    if not is_param:
        return tensor
    return torch.nn.Parameter(tensor, requires_grad=trained and (dtype.is_floating_point or dtype.is_complex))


def _unpickled_all(archive: Archive, name: str) -> dict[str, torch.Tensor]:
    found = _restricted(archive, name, "the weights")
    if not isinstance(found, Mapping):
        archive.damaged(f"`{name}` is not a table of tensors")
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            _refuse_object(archive, str(key))
        _refuse_repeated(archive, key, value)
    return dict(found)


def _unpickled(archive: Archive, path: str, name: str) -> torch.Tensor:
    found = _restricted(archive, path, f"`{name}`")
    if not isinstance(found, torch.Tensor):
        _refuse_object(archive, name)
    _refuse_repeated(archive, name, found)
    return found


def _refuse_repeated(archive: Archive, name: str, tensor: torch.Tensor) -> None:
    if repeats(tensor):
        archive.damaged(f"it claims {tensor.numel():,} elements for `{name[:80]}`, more than it has bytes")


def _restricted(archive: Archive, path: str, what: str) -> Any:
    """Return the content of a pickle from torch's restricted reader, which makes tensors and calls nothing else."""
    try:
        return unpickled(io.BytesIO(archive.read(path)), weights_only=True)
    except Exception:
        refuse(
            archive.shown,
            f"keeps {what} as a pickle that names more than tensors, and reading it would run code",
            "export the model again, with plain tensors as weights",
        )


def _refuse_object(archive: Archive, name: str) -> NoReturn:
    refuse(
        archive.shown,
        f"holds the object `{name[:80]}`, which only its own code could read",
        "export a model whose weights and constants are tensors",
    )
