"""Peak memory of activations: bytes of tensors that live at the same time, by the lifetime of their storage.

Views and in-place operations share a storage and count once. Inputs count, for the caller holds them;
parameters and buffers do not.
"""

from __future__ import annotations

import weakref
from collections.abc import Container

import torch


class Meter:
    """Adds the storages of tensors as they appear and takes them off when torch frees them."""

    def __init__(self, excluded: Container[int]) -> None:
        self.peak = 0
        self._live = 0
        self._excluded = excluded
        self._sizes: dict[int, int] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of `tensor`, unless it is counted already or belongs to a parameter."""
        storage = storage_of(tensor)
        if storage is None:
            return
        key = int(storage._cdata)
        if key in self._sizes or key in self._excluded:
            return
        self._sizes[key] = storage.nbytes()
        self._live += self._sizes[key]
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self._live -= self._sizes.pop(key, 0)


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return the storage of a tensor, that of the meta tensor within a shape tensor; `None` for layouts without one."""
    try:
        return getattr(tensor, "meta", tensor).untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None
