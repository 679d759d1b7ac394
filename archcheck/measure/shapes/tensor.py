"""A tensor that has a shape, strides, a dtype and a device, and no values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch

from archcheck.measure.shapes.memory_blocks import Block

META = torch.device("meta")
CPU = torch.device("cpu")


class TensorMetadata(NamedTuple):
    """Everything about a tensor except its values; strides and offset count elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    offset: int


def reshape(tensor: torch.Tensor, metadata: TensorMetadata) -> None:
    """Give a tensor without values other metadata, in its memory.

    Raises:
        RuntimeError: the memory is too small, or the tensor is real.
    """
    if not isinstance(tensor, ShapeTensor) or metadata.dtype != tensor.dtype:
        raise RuntimeError("only a tensor without values can be given another shape")
    with torch._C._DisableTorchDispatch():  # torch keeps the shape that Python and kernels see
        tensor.as_strided_(metadata.shape, metadata.strides, metadata.offset)
    tensor.metadata = metadata


def meta_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a new meta tensor with the metadata of `tensor`, or `tensor` itself when it is one."""
    if tensor.__class__ is not ShapeTensor and tensor.device.type == "meta":
        return tensor
    if tensor.layout is not torch.strided:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=META)
    return _meta(metadata_of(tensor))


def any_meta_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a shared meta tensor with the metadata of `tensor`; do not write to it."""
    if tensor.layout is not torch.strided or (tensor.__class__ is not ShapeTensor and tensor.device.type == "meta"):
        return meta_of(tensor)
    return _shared_meta(metadata_of(tensor))


def _meta(metadata: TensorMetadata) -> torch.Tensor:
    shape, strides, dtype, offset = metadata
    if not offset:
        return torch.empty_strided(shape, strides, dtype=dtype, device=META)
    return torch.empty(offset + extent_of(metadata), dtype=dtype, device=META).as_strided(shape, strides, offset)


_shared_meta = lru_cache(maxsize=20_000)(_meta)


def extent_of(metadata: TensorMetadata) -> int:
    """Return how many elements of memory lie from the first to the last element, both included."""
    if 0 in metadata.shape:
        return 0
    return sum((size - 1) * stride for size, stride in zip(metadata.shape, metadata.strides, strict=True)) + 1


def metadata_of(tensor: torch.Tensor) -> TensorMetadata:
    """Return the metadata of any strided tensor."""
    if tensor.__class__ is ShapeTensor:
        return tensor.metadata
    return TensorMetadata(tuple(tensor.shape), tensor.stride(), tensor.dtype, int(tensor.storage_offset()))


def is_floating(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds real or complex floating numbers."""
    return tensor.is_floating_point() or tensor.is_complex()


class ShapeTensor(torch.Tensor):
    """A tensor without values that reports a real device, so that code comparing devices works.

    The event `made_by` of the trace `owner` made it. It can only be used inside a `Tracer`, which computes every
    operation on metadata alone.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    metadata: TensorMetadata
    block: Block
    made_by: int
    owner: object

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse the operation: only a tracer can compute it."""
        raise RuntimeError(f"a tensor without values was used outside of the trace, by {func}")

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """Return a clone, which the tracer records; the trace that owns the tensor is not copied with it."""
        copied: torch.Tensor = memo.setdefault(id(self), self.clone())
        return copied

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"ShapeTensor(shape={tuple(self.shape)}, dtype={self.dtype})"


ShapeTensor.__name__ = "Tensor"  # errors of the subject name the class: "'Tensor' object has no attribute 'x'"
_wrapper = torch.Tensor._make_wrapper_subclass


def shape_tensor(metadata: TensorMetadata, block: Block) -> ShapeTensor:
    """Return a new tensor without values in `block`."""
    shape, strides, dtype, offset = metadata
    tensor: ShapeTensor = _wrapper(ShapeTensor, shape, strides=strides, storage_offset=offset, dtype=dtype, device=CPU)
    tensor.metadata = metadata
    tensor.block = block
    tensor.made_by = -1
    tensor.owner = None
    return tensor
