"""Finds the part of each output that belongs to a sample of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.behaviour.probe_context import Outputs


class Parts:
    """The part of each output that belongs to each sample, found by two passes with `counts` samples.

    It is a section of the axis that grows with the samples, or one element if the output is a list of results. Without
    a second pass, the axis is the first that is as long as there are samples.

    Raises:
        SubjectError: no output grows with the batch.
    """

    def __init__(self, batch: Batch, many: Outputs, fewer: Outputs | None, counts: tuple[int, int]) -> None:
        axes = _axes(many, fewer, counts)
        listed = _length(many) == counts[0] and _length(fewer or {}) in (counts[1], 0)
        # If the batch is one tensor, a list may hold several outputs of the whole batch.
        self._listed = listed and (batch.of_items or not axes)
        self._axes = {} if self._listed else axes
        self.shared = [] if self._listed else sorted(many.keys() - self._axes.keys())
        if not self._listed and not self._axes:
            raise SubjectError("forward", "no output grows with the batch, so no sample has one of its own")

    def of(self, outputs: Outputs, sample: int, count: int) -> Outputs:
        """Return the parts of one sample of `count`."""
        if self._listed:
            return {
                name.partition(".")[2]: tensor
                for name, tensor in outputs.items()
                if name.partition(".")[0] == str(sample)
            }
        return {
            name: tensor.narrow(axis, tensor.shape[axis] // count * sample, tensor.shape[axis] // count)
            for name, axis in self._axes.items()
            if (tensor := outputs.get(name)) is not None
        }

    def kept(self, outputs: Outputs, kept: Sequence[bool]) -> Outputs:
        """Return the parts of the samples for which `kept` is true."""
        rows = [row for row, keep in enumerate(kept) if keep]
        if self._listed:
            names = {str(row) for row in rows}
            return {name: tensor for name, tensor in outputs.items() if name.partition(".")[0] in names}
        found: Outputs = {}
        for name, axis in self._axes.items():
            if (tensor := outputs.get(name)) is not None:
                shape = (*tensor.shape[:axis], len(kept), -1, *tensor.shape[axis + 1 :])
                found[name] = tensor.reshape(shape).index_select(axis, torch.tensor(rows, device=tensor.device))
        return found


def _length(outputs: Outputs) -> int:
    """Return the number of results if the output is a list, else 0."""
    numbers = {name.partition(".")[0] for name in outputs}
    return len(numbers) if all(each.isdecimal() for each in numbers) else 0


def _axes(many: Outputs, fewer: Outputs | None, counts: tuple[int, int]) -> dict[str, int]:
    """Return the axis of each output that grows with the samples."""
    found: dict[str, int] = {}
    for name, tensor in many.items():
        one, other = tensor.shape, None if fewer is None else fewer[name].shape if name in fewer else ()
        if other is None:
            axes = [axis for axis, extent in enumerate(one) if extent == counts[0]][:1]
        else:
            axes = [axis for axis, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
            if len(one) != len(other) or len(axes) != 1 or one[axes[0]] * counts[1] != other[axes[0]] * counts[0]:
                continue
        if axes:
            found[name] = axes[0]
    return found
