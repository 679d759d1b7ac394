"""A tensor that has a shape, strides, a dtype and a device, and no values."""

from __future__ import annotations

from typing import Any

import torch

META = torch.device("meta")
CPU = torch.device("cpu")


class ShapeTensor(torch.Tensor):
    """Wraps a meta tensor and reports a real device, so that code comparing devices works.

    It can only be used inside a `Tracer`, which computes every operation on the meta tensor within.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    meta: torch.Tensor

    @staticmethod
    def __new__(cls, meta: torch.Tensor) -> ShapeTensor:
        """Wrap `meta`, keeping its shape, strides and dtype."""
        wrapper: ShapeTensor = torch.Tensor._make_wrapper_subclass(
            cls, meta.shape, strides=meta.stride(), dtype=meta.dtype, device=CPU
        )
        wrapper.meta = meta
        return wrapper

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Refuse: only the tracer knows what to do."""
        raise RuntimeError(f"a tensor without values was used outside of the trace, by {func}")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"ShapeTensor(shape={tuple(self.shape)}, dtype={self.dtype})"


def wrap(meta: torch.Tensor, *, inference: bool = True) -> ShapeTensor:
    """Return `meta` as a `ShapeTensor`.

    Views of ordinary tensors (parameters) must be made outside of inference mode: autograd keeps a version
    counter for them, which inference tensors lack.
    """
    if inference:
        return ShapeTensor(meta)
    with torch.inference_mode(False):
        return ShapeTensor(meta)


def shape_tensor_like(tensor: torch.Tensor) -> ShapeTensor:
    """Return a `ShapeTensor` with the outside of a real `tensor`."""
    return ShapeTensor(torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META))
