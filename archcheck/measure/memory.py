"""Peak memory of activations: bytes of tensors that live at the same time, by the lifetime of their storage.

Views and in-place operations share a storage and count once. Inputs count, for the caller holds them;
parameters, buffers and constants do not.
"""

from __future__ import annotations

import weakref

import torch

from archcheck.measure.twins import Twins, storage_of


class Meter:
    """Adds the storages of tensors as they appear and takes them off when torch frees them."""

    def __init__(self, twins: Twins) -> None:
        self.peak = 0
        self._live = 0
        self._twins = twins
        self._sizes: dict[int, int] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count the storage of `tensor`, unless it is counted already or stands for a parameter or constant."""
        storage = storage_of(tensor)
        if storage is None or self._twins.is_twin(tensor):
            return
        key = int(storage._cdata)
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._live += self._sizes[key]
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self._live -= self._sizes.pop(key, 0)
