"""Probe of the saved state's size: how many bytes `torch.save` writes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.probe_context import Bench
from archcheck.measure.structure.tensor_storage import stored_tensors


class _Counter(io.RawIOBase):
    """A file that counts what is written to it, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def writable(self) -> bool:
        """Say that it may be written to."""
        return True

    def write(self, data: Any) -> int:
        """Count some bytes."""
        size = memoryview(data).nbytes
        self.written += size
        return size


def state_bytes(bench: Bench) -> Mapping[str, Any]:
    """How many `bytes` the file has that `torch.save(model.state_dict(), …)` writes, and how many its `tensors` take.

    The tensors are parameters, buffers that are saved, and packed weights, at the width that they are stored in.

    Raises:
        SubjectError: the state cannot be saved.
    """
    file = _Counter()
    with bench.passes.untouched(values=False):
        try:
            torch.save(bench.model.state_dict(), file)  # type: ignore[arg-type]
        except Exception as error:  # of pickle, of torch or of the subject
            raise SubjectError("output", f"the state cannot be saved: {described(error)}") from error
    return {"bytes": file.written, "tensors": sum(each.bytes for each in stored_tensors(bench.tree) if each.saved)}
