"""Products of sparse matrices: a multiply-accumulate for each stored element and each element that it meets."""

from __future__ import annotations

import math

import torch


def is_sparse(*tensors: object) -> bool:
    """Whether one of these is a tensor that stores some of its elements only."""
    return any(isinstance(tensor, torch.Tensor) and tensor.layout in _LAYOUTS for tensor in tensors)


_LAYOUTS = frozenset({torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc})


def stored(tensor: torch.Tensor) -> int:
    """Return how many elements a sparse tensor stores; those of a block that are zero are stored, too."""
    return int((tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()).numel())


def product_macs(left: torch.Tensor, right: torch.Tensor) -> int:
    """Return the multiply-accumulates of the product of two matrices, or of matrix and vector, one of them sparse."""
    if not is_sparse(right):  # every stored element of the left side meets a row of the right one
        return stored(left) * (int(right.shape[-1]) if right.dim() > 1 else 1)
    if not is_sparse(left):  # every stored element of the right side meets a column of the left one
        return stored(right) * (math.prod(map(int, left.shape[-2:-1])) if left.dim() > 1 else 1)
    shared = int(left.shape[-1])
    columns = _coordinates(left)[-1].bincount(minlength=shared)
    rows = _coordinates(right)[0].bincount(minlength=shared)
    return int((columns * rows).sum())


def _coordinates(matrix: torch.Tensor) -> torch.Tensor:
    """Return the positions of the stored elements, a row for each axis."""
    return (matrix if matrix.layout is torch.sparse_coo else matrix.to_sparse())._indices()
