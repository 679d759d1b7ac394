"""Describes how each tensor of a model is stored: elements, bits, bytes, and how many of its numbers are not zero."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress

import torch

from archcheck.facts.storage import StoredTensor
from archcheck.measure.operators.operator_results import dtype_of
from archcheck.measure.structure.packed_weights import packed_weights
from archcheck.measure.subject.module_tree import Node, Tree, join

_BITS = {"quint4x2": 4, "quint2x4": 2, "qint32": 32}
"""Bits of an element of dtypes for which torch gives another size, or none."""


def stored_tensors(tree: Tree) -> tuple[StoredTensor, ...]:
    """Return the parameters, buffers and packed weights of a model, each tensor once, under its first name."""
    pruned, unsaved = dict(_pruned(tree)), _unsaved(tree)
    buffers = {id(tensor) for _, tensor in tree.buffers()} - {id(tensor) for _, tensor in tree.parameters()}
    found = [
        _stored(tree.names[id(tensor)], "buffer" if id(tensor) in buffers else "parameter", tensor, pruned, unsaved)
        for tensor in tree.tensors()
    ]
    return (*found, *(_stored(name, "packed", tensor, {}, frozenset()) for name, tensor in packed_weights(tree)))


def _stored(
    name: str, sort: str, tensor: torch.Tensor, pruned: Mapping[str, torch.Tensor], unsaved: frozenset[str]
) -> StoredTensor:
    return StoredTensor(
        name=name,
        sort=sort,
        dtype=dtype_of(tensor),
        elements=numel(tensor),
        bits=_bits(tensor),
        bytes=stored_bytes(tensor),
        nonzero=_nonzero(pruned.get(name, tensor)),
        saved=name not in unsaved,
    )


def stored_bytes(tensor: torch.Tensor) -> int:
    """Return the bytes of a tensor, with the indices of a sparse one and the scales of a quantised one."""
    if tensor.layout is not torch.strided:
        return sum(map(stored_bytes, _sparse_parts(tensor)))
    return math.ceil(numel(tensor) * _bits(tensor) / 8) + sum(map(stored_bytes, _scales(tensor)))


def numel(tensor: torch.Tensor) -> int:
    """Return how many elements a tensor has, whatever its class says."""
    return int(torch._C.TensorBase.numel(tensor))


def _bits(tensor: torch.Tensor) -> int:
    return _BITS.get(dtype_of(tensor), 8 * int(torch._C.TensorBase.element_size(tensor)))


def _scales(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the scales and zero points of a tensor that is quantised by channel; a single one is no tensor."""
    if tensor.is_quantized and tensor.qscheme() not in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        yield tensor.q_per_channel_scales()
        yield tensor.q_per_channel_zero_points()


def _sparse_parts(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    tensor = tensor.detach()
    names = ("_indices", "_values") if tensor.layout is torch.sparse_coo else _COMPRESSED
    for name in names:
        with suppress(RuntimeError, AttributeError):  # each layout has one of the two pairs of indices
            yield getattr(tensor, name)()


_PIECE = 1 << 20
_ADDED = 128
"""Words of eight flags that are added at once: no byte of the sum exceeds 255."""
_COMPRESSED = ("crow_indices", "col_indices", "ccol_indices", "row_indices", "values")


def _nonzero(tensor: torch.Tensor) -> int | None:
    """Return how many numbers of a tensor are not zero, `None` if they cannot be counted."""
    if tensor.device.type == "meta":
        return None
    try:
        with torch.no_grad():
            if tensor.layout is not torch.strided:
                *_, tensor = _sparse_parts(tensor)
            elif tensor.is_quantized:
                tensor = tensor.dequantize()
            rows = tensor.detach().reshape(-1) if tensor.is_contiguous() else tensor.detach()
            return sum([_count(piece) for piece in torch.split(rows, _PIECE)] or [0])
    except (RuntimeError, NotImplementedError, TypeError):  # a dtype or a class that cannot count
        return None


def _count(piece: torch.Tensor) -> int:
    plain = type(piece) is torch.Tensor and piece.dim() == 1 and piece.is_floating_point()
    return _count_in_words(piece) if plain and len(piece) >= 8 * _ADDED else _count_each(piece)


def _count_in_words(row: torch.Tensor) -> int:
    """Count as `count_nonzero` does, in a third of its time, which is most of measuring a large network."""
    length = row.numel() // (8 * _ADDED) * (8 * _ADDED)
    words = row[:length].bool().view(torch.int64).view(-1, _ADDED)
    return int(words.sum(dim=1).view(torch.uint8).sum()) + _count_each(row[length:])


def _count_each(piece: torch.Tensor) -> int:
    try:
        return int(piece.count_nonzero())
    except (RuntimeError, NotImplementedError):  # a narrow float cannot; each of its numbers is a float32
        return int(piece.to(torch.float32).count_nonzero())


def _pruned(tree: Tree) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensor that is used instead of a parameter with a mask or a parametrisation of the same shape."""
    for node in tree.nodes:
        buffers = dict(node.buffers)
        for name, tensor in node.parameters:
            mask = buffers.get(f"{name.removesuffix('_orig')}_mask")
            if name.endswith("_orig") and mask is not None and mask.shape == tensor.shape:
                yield join(node.path, name), tensor.detach() * mask
        yield from _parametrised(node)


def _parametrised(node: Node) -> Iterator[tuple[str, torch.Tensor]]:
    parts = vars(node.module).get("_modules")
    chains = parts.get("parametrizations") if isinstance(parts, dict) else None
    for name, chain in vars(chains).get("_modules", {}).items() if chains is not None else ():
        original = vars(chain).get("_parameters", {}).get("original")
        if isinstance(original, torch.Tensor):
            with suppress(Exception), torch.no_grad():  # the subject may raise anything
                value = chain()
                if value.shape == original.shape:
                    yield join(node.path, f"parametrizations.{name}.original"), value


def _unsaved(tree: Tree) -> frozenset[str]:
    """Return the names of the buffers that no state dict holds."""
    own = {node.path: vars(node.module).get("_non_persistent_buffers_set", ()) for node in tree.nodes}
    return frozenset(join(path, name) for path, names in own.items() for name in names)
