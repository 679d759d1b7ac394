"""A tensor that has a shape, strides, a dtype and a device, and no values; and the memory that it stands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from archcheck.measure.memory import Memory

META = torch.device("meta")
CPU = torch.device("cpu")


class Outside(NamedTuple):
    """All of a tensor but its values; strides and offset count elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    offset: int


def outside_of(tensor: torch.Tensor) -> Outside:
    """Return the outside of any strided tensor."""
    if tensor.__class__ is ShapeTensor:
        return tensor.outside
    return Outside(tuple(tensor.shape), tensor.stride(), tensor.dtype, int(tensor.storage_offset()))


class Block:
    """A piece of memory: all tensors that are views of one another share one.

    `written` is the event that last wrote to it, -1 for none; `stale` says that a real tensor in it no longer has
    the values it should. `memory` is the account that the block is on while it lives, if any.
    """

    __slots__ = ("_storage", "keeps", "memory", "nbytes", "stale", "written")

    def __init__(self, nbytes: int, *, memory: Memory | None = None, keeps: Any = None) -> None:
        self.nbytes = nbytes
        self.memory = memory
        self.keeps = keeps
        self.written = -1
        self.stale = False
        self._storage: torch.UntypedStorage | None = None

    def __del__(self) -> None:
        """Take the block off its account: the last tensor in it is gone."""
        if self.memory is not None:
            self.memory.live -= self.nbytes

    def meta(self, outside: Outside) -> torch.Tensor:
        """Return a meta tensor of that outside, in the one storage that stands for this block."""
        if self._storage is None:
            self._storage = torch.empty(self.nbytes, dtype=torch.uint8, device=META).untyped_storage()
        empty = torch.empty(0, dtype=outside.dtype, device=META)
        return empty.set_(self._storage, outside.offset, outside.shape, outside.strides)


class ShapeTensor(torch.Tensor):
    """Reports a real device, so that code comparing devices works; `event` of `trace` made it.

    It can only be used inside a `Tracer`, which computes every operation on outsides alone.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    outside: Outside
    block: Block
    event: int
    trace: object

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse: only the tracer knows what to do."""
        raise RuntimeError(f"a tensor without values was used outside of the trace, by {func}")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"ShapeTensor(shape={tuple(self.shape)}, dtype={self.dtype})"


_wrapper = torch.Tensor._make_wrapper_subclass


def shape_tensor(outside: Outside, block: Block) -> ShapeTensor:
    """Return a new tensor without values in `block`."""
    shape, strides, dtype, offset = outside
    tensor: ShapeTensor = _wrapper(ShapeTensor, shape, strides=strides, storage_offset=offset, dtype=dtype, device=CPU)
    tensor.outside = outside
    tensor.block = block
    tensor.event = -1
    tensor.trace = None
    return tensor
