"""Tracks the memory of tensors, and the peak of what is alive at the same time.

Views and in-place operations share a block and count once. Inputs count, because the caller holds them; parameters,
buffers and constants do not.
"""

from __future__ import annotations

import weakref

import torch

from archcheck.measure.shapes.memory_blocks import Block, MemoryUse
from archcheck.measure.shapes.tensor import ShapeTensor, TensorMetadata, extent_of, metadata_of, shape_tensor


class Memory:
    """The memory blocks of one forward pass; `account` has their live and peak bytes."""

    def __init__(self) -> None:
        self.account = MemoryUse()
        self.new = self.account.new
        self.any_stale = False
        self._blocks: dict[int, Block] = {}
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}  # of real memory that the pass made

    def shape_tensor_like(self, tensor: torch.Tensor) -> ShapeTensor:
        """Return a tensor without values with the metadata of a real `tensor`, in its own memory."""
        metadata = TensorMetadata(*metadata_of(tensor)[:3], 0)
        return shape_tensor(metadata, self.new(extent_of(metadata) * tensor.element_size()))

    def of(self, tensor: torch.Tensor) -> Block:
        """Return the block of any tensor; that of a tensor from outside the pass is kept and not counted."""
        if isinstance(tensor, ShapeTensor):
            return tensor.block
        storage = storage_of(tensor)
        if storage is None:
            return Block(0)
        block = self._blocks.get(storage._cdata)
        if block is None:
            # Kept, because another storage may get its address later.
            block = self._blocks[storage._cdata] = Block(storage.nbytes(), keeps=storage)
        return block

    def count(self, tensor: torch.Tensor) -> None:
        """Count the memory of a real tensor that the pass made or was given, unless it is counted already."""
        storage = None if isinstance(tensor, ShapeTensor) else storage_of(tensor)
        if storage is not None and storage._cdata not in self._blocks:
            address = storage._cdata
            self._blocks[address] = self.new(storage.nbytes())
            self._alive[address] = weakref.ref(storage, lambda gone: self._forget(address))

    def _forget(self, address: int) -> None:
        self._blocks.pop(address, None)
        self._alive.pop(address, None)

    def spoil(self, tensor: torch.Tensor) -> None:
        """Note that a write to a real tensor was skipped: its values are not what they should be."""
        self.of(tensor).stale = self.any_stale = True


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return the storage of a real tensor, `None` for layouts without one."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None
