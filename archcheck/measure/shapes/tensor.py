"""A tensor that has a shape, strides, a dtype and a device, and no values."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from archcheck.measure.shapes.memory_blocks import Block

META = torch.device("meta")
CPU = torch.device("cpu")


class Outside(NamedTuple):
    """All of a tensor but its values; strides and offset count elements."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    offset: int


def reshape(tensor: torch.Tensor, outside: Outside) -> None:
    """Give a tensor without values another outside, in the memory that it has.

    Raises:
        RuntimeError: the memory is too small, or the tensor is real.
    """
    if not isinstance(tensor, ShapeTensor) or outside.dtype != tensor.dtype:
        raise RuntimeError("only a tensor without values can be given another shape")
    with torch._C._DisableTorchDispatch():  # torch itself keeps the shape that Python and its kernels see
        tensor.as_strided_(outside.shape, outside.strides, outside.offset)
    tensor.outside = outside


def meta_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a new meta tensor with the outside of `tensor`, or `tensor` itself when it is one."""
    if tensor.__class__ is not ShapeTensor and tensor.device.type == "meta":
        return tensor
    if tensor.layout is not torch.strided:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=META)
    return _meta(outside_of(tensor))


def any_meta_of(tensor: torch.Tensor) -> torch.Tensor:
    """Return a meta tensor with the outside of `tensor`, the same for all that look like it; not to be written to."""
    known = _metas.get(tensor.outside) if tensor.__class__ is ShapeTensor else None
    if known is not None:
        return known
    meta = meta_of(tensor)
    if meta is not tensor and tensor.layout is torch.strided:
        if len(_metas) >= _MANY:
            _metas.clear()
        _metas[outside_of(tensor)] = meta
    return meta


_metas: dict[Outside, torch.Tensor] = {}
_MANY = 20_000


def _meta(outside: Outside) -> torch.Tensor:
    shape, strides, dtype, offset = outside
    if not offset:
        return torch.empty_strided(shape, strides, dtype=dtype, device=META)
    return torch.empty(offset + extent_of(outside), dtype=dtype, device=META).as_strided(shape, strides, offset)


def extent_of(outside: Outside) -> int:
    """Return how many elements of memory lie between the first and the last element, both included."""
    if 0 in outside.shape:
        return 0
    return sum((size - 1) * stride for size, stride in zip(outside.shape, outside.strides, strict=True)) + 1


def outside_of(tensor: torch.Tensor) -> Outside:
    """Return the outside of any strided tensor."""
    if tensor.__class__ is ShapeTensor:
        return tensor.outside
    return Outside(tuple(tensor.shape), tensor.stride(), tensor.dtype, int(tensor.storage_offset()))


def is_floating(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds real or complex floating numbers."""
    return tensor.is_floating_point() or tensor.is_complex()


class ShapeTensor(torch.Tensor):
    """Reports a real device, so that code comparing devices works; the event `made_by` of the trace `owner` made it.

    It can only be used inside a `Tracer`, which computes every operation on outsides alone.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    outside: Outside
    block: Block
    made_by: int
    owner: object

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse: only the tracer knows what to do."""
        raise RuntimeError(f"a tensor without values was used outside of the trace, by {func}")

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """Return a clone, which the tracer records; the trace that owns the tensor is not copied with it."""
        copied: torch.Tensor = memo.setdefault(id(self), self.clone())
        return copied

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"ShapeTensor(shape={tuple(self.shape)}, dtype={self.dtype})"


_wrapper = torch.Tensor._make_wrapper_subclass


def shape_tensor(outside: Outside, block: Block) -> ShapeTensor:
    """Return a new tensor without values in `block`."""
    shape, strides, dtype, offset = outside
    tensor: ShapeTensor = _wrapper(ShapeTensor, shape, strides=strides, storage_offset=offset, dtype=dtype, device=CPU)
    tensor.outside = outside
    tensor.block = block
    tensor.made_by = -1
    tensor.owner = None
    return tensor
