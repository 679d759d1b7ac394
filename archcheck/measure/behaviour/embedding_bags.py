"""A batch of bags: one row holds the words of all samples, and offsets say where each sample begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.measure.behaviour.batches import Batch, holds_integers
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_errors import inputs_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Bags(Batch):
    """The bags of an `example`; tensor `place` holds the offsets, which include the end of the last bag if `closed`.

    Tensors with an axis in `held` are as long as all bags together.
    """

    place: int
    closed: bool

    @property
    def is_indexed(self) -> bool:
        """Always `False`: offsets are not numbers of samples."""
        return False

    def picked(self, rows: Sequence[int], example: Example | None = None) -> Example:
        """Return an example (by default this one) with the bags `rows`."""
        example = example or self.example
        bounds = self._bounds(example)
        words = [word for row in rows for word in range(bounds[row], bounds[row + 1])]
        begins = [0]
        for row in rows:
            begins.append(begins[-1] + bounds[row + 1] - bounds[row])
        tensors = inputs_of(example)
        offsets = tensors[self.place].new_tensor(begins if self.closed else begins[:-1])
        at = torch.tensor(words, dtype=torch.int64, device=tensors[self.place].device)
        parts = [
            each if axes is None else each.index_select(0, at) for each, axes in zip(tensors, self.held, strict=True)
        ]
        return _with(example, [*parts[: self.place], offsets, *parts[self.place + 1 :]])

    def mixed(self, example: Example, others: Example, kept: Sequence[bool]) -> Example:
        """Return an example with the bags of another of the same sizes, except those that are `kept`."""
        bounds = self._bounds(example)
        mine = [keep for row, keep in enumerate(kept) for _ in range(bounds[row], bounds[row + 1])]
        parts = []
        for one, other, axes in zip(inputs_of(example), inputs_of(others), self.held, strict=True):
            at = torch.tensor(mine, device=one.device).view(-1, *(1,) * (one.dim() - 1))
            parts.append(one if axes is None else torch.where(at, one, other))
        return _with(example, parts)

    def _bounds(self, example: Example) -> list[int]:
        """Return the beginnings of the bags of an example, and the end of the last."""
        tensors = inputs_of(example)
        begins: list[int] = tensors[self.place].tolist()
        row = next(each for each, axes in zip(tensors, self.held, strict=True) if axes is not None)
        return begins if self.closed else [*begins, len(row)]


def _with(example: Example, tensors: Sequence[torch.Tensor]) -> Example:
    pending = iter(tensors)
    return example.mapped(lambda _: next(pending))


def bags_in(example: Example) -> Iterator[Bags]:
    """Yield the possible bags of an example, for each tensor that may hold offsets."""
    tensors = inputs_of(example)
    for place, offsets in enumerate(tensors):
        if not are_offsets(offsets):
            continue
        last = int(offsets[-1])
        rows = [each for each in tensors if each is not offsets and each.dim() and len(each) >= max(1, last)]
        for row in rows[:1]:
            held: list[Any] = [
                (0,) if each is not offsets and each.dim() and len(each) == len(row) else None for each in tensors
            ]
            for closed in (False, True):
                count = len(offsets) - closed
                if count and (not closed or last == len(row)):
                    yield Bags(example=example, count=count, whole=(), held=tuple(held), place=place, closed=closed)


def are_offsets(tensor: torch.Tensor) -> bool:
    """Whether a tensor is a row of integers that begins with 0 and never decreases."""
    if tensor.dim() != 1 or not holds_integers(tensor) or int(tensor[0]) != 0:
        return False
    return bool((tensor.diff() >= 0).all())
