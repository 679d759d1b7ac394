"""Detects numbers that change between two operations of torch: something else wrote to their memory."""

from __future__ import annotations

import weakref

import torch


class Stamps:
    """The sums of tensors as operations of torch left them; `written` is the operation that last wrote to one."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int, float]] = {}

    def put(self, tensor: torch.Tensor, written: int) -> None:
        """Remember what an operation made."""
        if _is_summable(tensor):
            self._known[id(tensor)] = weakref.ref(tensor), written, _sum(tensor)

    def is_broken(self, tensor: torch.Tensor, written: int) -> bool:
        """Whether a tensor that no operation wrote to since has other numbers now."""
        known = self._known.get(id(tensor))
        return known is not None and known[0]() is tensor and known[1] == written and _sum(tensor) != known[2]


_UNSUMMED = (torch.uint16, torch.uint32, torch.uint64)
"""Besides floats of eight bits, what torch may convert and not sum."""


def _is_summable(tensor: torch.Tensor) -> bool:
    plain = tensor.layout is torch.strided and not tensor.is_meta
    return plain and not tensor.is_quantized and not tensor.is_complex()


def _sum(tensor: torch.Tensor) -> float:
    summed = tensor.detach()
    if tensor.dtype in _UNSUMMED or (tensor.is_floating_point() and tensor.element_size() == 1):
        summed = summed.double()
    total = float(summed.sum())
    return total if total == total else 0.0  # NaN equals nothing, itself included
