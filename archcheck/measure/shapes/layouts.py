"""Handles tensors of any layout: selects entries along an axis, or changes the stored numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Change = Callable[[torch.Tensor], torch.Tensor]
"""Returns other numbers for those of a dense tensor."""


def rows_of(tensor: torch.Tensor, axis: int, rows: Sequence[int]) -> torch.Tensor:
    """Return the entries `rows` of a tensor along an axis, in the same layout if possible."""
    index = torch.tensor(rows, dtype=torch.long, device=tensor.device)
    if tensor.layout in (torch.strided, torch.sparse_coo):
        return tensor.index_select(axis, index)
    coordinates = tensor.to_sparse(layout=torch.sparse_coo)  # torch selects no entries of compressed tensors
    chosen: torch.Tensor = coordinates.index_select(axis, index)
    if tensor.layout in (torch.sparse_csr, torch.sparse_csc):
        compressed: torch.Tensor = chosen.to_sparse(layout=tensor.layout)
        return compressed
    sizes = tensor.values().shape[1:]
    if any(extent % size for extent, size in zip(chosen.shape, sizes, strict=True)):
        return chosen  # not a multiple of the block size
    blocks: torch.Tensor = chosen.to_dense().to_sparse(layout=tensor.layout, blocksize=tuple(sizes))
    return blocks


def on_values(tensor: torch.Tensor, change: Change) -> torch.Tensor:
    """Return a tensor of the same layout and quantisation whose stored numbers `change` has changed."""
    if tensor.is_floating_point() and tensor.element_size() == 1:  # torch computes nothing with eight-bit floats
        return on_values(tensor.float(), change).to(tensor.dtype)
    if tensor.is_quantized:
        changed = change(tensor.dequantize())
        if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            return torch.quantize_per_tensor(changed, tensor.q_scale(), tensor.q_zero_point(), tensor.dtype)
        scales, zeros = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
        return torch.quantize_per_channel(changed, scales, zeros, tensor.q_per_channel_axis(), tensor.dtype)
    if tensor.layout is torch.sparse_coo:
        stored = tensor.coalesce()
        values = change(stored.values())
        return torch.sparse_coo_tensor(
            stored.indices(), values, stored.shape, is_coalesced=True, check_invariants=False
        )
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        indices = tensor.crow_indices(), tensor.col_indices()
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        indices = tensor.ccol_indices(), tensor.row_indices()
    else:
        return change(tensor)
    values = change(tensor.values())
    return torch.sparse_compressed_tensor(*indices, values, tensor.shape, layout=tensor.layout, check_invariants=False)
