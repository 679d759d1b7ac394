"""Products of sparse matrices: one multiply-accumulate for each pair of a stored element and an element it meets."""

from __future__ import annotations

import math

import torch


def is_sparse(*tensors: object) -> bool:
    """Whether one of these is a sparse tensor."""
    return any(isinstance(tensor, torch.Tensor) and tensor.layout in _LAYOUTS for tensor in tensors)


_LAYOUTS = frozenset({torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc})


def stored(tensor: torch.Tensor) -> int:
    """Return how many elements a sparse tensor stores, including zeros inside of a block."""
    return int((tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()).numel())


def product_macs(left: torch.Tensor, right: torch.Tensor) -> int:
    """Return the multiply-accumulates of a product of two matrices, or of a matrix and a vector, one of them sparse."""
    if not is_sparse(right):  # every stored element of the left side meets a row of the right one
        return stored(left) * (int(right.shape[-1]) if right.dim() > 1 else 1)
    if not is_sparse(left):  # every stored element of the right side meets a column of the left one
        return stored(right) * (math.prod(map(int, left.shape[-2:-1])) if left.dim() > 1 else 1)
    shared = int(left.shape[-1])
    columns = _coordinates(left)[-1].bincount(minlength=shared)
    rows = _coordinates(right)[0].bincount(minlength=shared)
    return int((columns * rows).sum())


def _coordinates(matrix: torch.Tensor) -> torch.Tensor:
    """Return the positions of the stored elements, one row per axis."""
    return (matrix if matrix.layout is torch.sparse_coo else matrix.to_sparse())._indices()
