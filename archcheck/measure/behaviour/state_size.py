"""Probe of the size of the saved state: the bytes that `torch.save` writes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.structure.tensor_storage import stored_tensors


class _Counter(io.RawIOBase):
    """A file that counts the bytes written to it, and stores none."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def writable(self) -> bool:
        """Return that the file is writable."""
        return True

    def write(self, data: Any) -> int:
        """Count the bytes of `data`."""
        size = memoryview(data).nbytes
        self.written += size
        return size


def state_bytes(context: ProbeContext) -> Mapping[str, Any]:
    """Return the `bytes` of the file of `torch.save(model.state_dict(), …)`, and those of the `tensors` in it.

    The tensors are parameters, persistent buffers and packed weights, each with its stored width.

    Raises:
        SubjectError: the state cannot be saved.
    """
    file = _Counter()
    with context.passes.untouched(values=False):
        try:
            torch.save(context.model.state_dict(), file)  # type: ignore[arg-type]
        except Exception as error:  # of pickle, of torch or of the subject
            raise SubjectError("output", f"the state cannot be saved: {described(error)}") from error
    return {"bytes": file.written, "tensors": sum(each.bytes for each in stored_tensors(context.tree) if each.saved)}
