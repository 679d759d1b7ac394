"""Meta tensors that stand for real ones and share memory with one another exactly as the originals do."""

from __future__ import annotations

import torch

from archcheck.measure.shape_tensor import META, ShapeTensor


class Twins:
    """Makes twins, and names memory by one key whether a real tensor or its twin is asked about."""

    def __init__(self) -> None:
        self._twins: dict[int, torch.UntypedStorage] = {}
        self._originals: dict[int, int] = {}
        self._kept: list[torch.UntypedStorage] = []  # an address stays theirs as long as they live

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a meta tensor with the outside of `tensor`, in the memory that stands for its memory."""
        if isinstance(tensor, ShapeTensor):
            return tensor.meta
        if tensor.device.type == "meta":
            return tensor
        with torch.inference_mode(tensor.is_inference()):
            storage = storage_of(tensor)
            if storage is None or tensor.layout is not torch.strided:
                return torch.empty(tensor.shape, dtype=tensor.dtype, device=META)
            twin = torch.empty(0, dtype=tensor.dtype, device=META)
            return twin.set_(self._memory(storage), tensor.storage_offset(), tensor.shape, tensor.stride())

    def key(self, tensor: torch.Tensor) -> int:
        """Return the same number for all tensors that share memory, twins included."""
        storage = storage_of(tensor)
        if storage is None:
            return -id(tensor)
        address = int(storage._cdata)
        return self._originals.get(address, address)

    def is_twin(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of `tensor` stands for that of a real tensor."""
        storage = storage_of(tensor)
        return storage is not None and int(storage._cdata) in self._originals

    def _memory(self, storage: torch.UntypedStorage) -> torch.UntypedStorage:
        address = int(storage._cdata)
        memory = self._twins.get(address)
        if memory is None:
            memory = torch.empty(storage.nbytes(), dtype=torch.uint8, device=META).untyped_storage()
            self._twins[address] = memory
            self._originals[int(memory._cdata)] = address
            self._kept.append(storage)
        return memory


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return the storage of a tensor, that of the meta tensor within a shape tensor; `None` for layouts without one."""
    try:
        return getattr(tensor, "meta", tensor).untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None
