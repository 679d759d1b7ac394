"""Detects writes to tensors that no operation of torch made, by the sums of their numbers."""

from __future__ import annotations

import weakref

import torch


class KnownSums:
    """The sum of each tensor after the last operation `written` that wrote to it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int, float]] = {}

    def put(self, tensor: torch.Tensor, written: int) -> None:
        """Remember the sum of a tensor after operation `written`."""
        if _is_summable(tensor):
            self._known[id(tensor)] = weakref.ref(tensor), written, _sum(tensor)

    def has_changed(self, tensor: torch.Tensor, written: int) -> bool:
        """Whether the numbers of a tensor have changed although operation `written` is still the last one."""
        known = self._known.get(id(tensor))
        return known is not None and known[0]() is tensor and known[1] == written and _sum(tensor) != known[2]


_UNSUMMED = (torch.uint16, torch.uint32, torch.uint64)
"""Dtypes that torch converts but does not sum, beside floats of eight bits."""


def _is_summable(tensor: torch.Tensor) -> bool:
    plain = tensor.layout is torch.strided and not tensor.is_meta
    return plain and not tensor.is_quantized and not tensor.is_complex()


def _sum(tensor: torch.Tensor) -> float:
    summed = tensor.detach()
    if tensor.dtype in _UNSUMMED or (tensor.is_floating_point() and tensor.element_size() == 1):
        summed = summed.double()
    total = float(summed.sum())
    return total if total == total else 0.0  # NaN does not equal itself
