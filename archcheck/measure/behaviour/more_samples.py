"""Examples with other numbers of samples, and with other extents of their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import Varied, without_values
from archcheck.measure.shapes.extent_search import Point
from archcheck.measure.shapes.tensor import is_floating


@dataclass(frozen=True, slots=True)
class MoreSamples:
    """The samples of a `batch`: their number is the coordinate `place` of a point, the others belong to `rest`."""

    batch: Batch
    rest: Varied
    place: int

    @property
    def elements(self) -> int:
        """The number of elements of the varied input in the example."""
        return self.rest.elements * (self.batch.count if self.batch.of_items else 1)

    def samples(self, point: Point) -> tuple[int, int]:
        """Return the number of samples at a point, and the axis that counts them."""
        return point[self.place], 0 if self.batch.of_items else self.batch.axis

    def shows(self, outputs: Sequence[tuple[tuple[int, ...], str]]) -> bool:
        """Whether the shapes of outputs show the number of samples: those of a packed sequence may not."""
        return not self.batch.is_packed or outputs[0][0][:1] == (self.batch.count,)

    def shape_at(self, point: Point) -> tuple[int, ...]:
        """Return the shape of the varied input at a point; the first extent of a list is its length."""
        shape = self.rest.shape_at(self._others(point))
        if self.batch.of_items:
            return (point[self.place], *shape)
        axis = self.batch.axis
        return (*shape[:axis], point[self.place], *shape[axis + 1 :])

    def example_at(self, example: Example, point: Point, *, values: bool) -> Example:
        """Return the example with the extents `point`. Without `values`, floating inputs are meta tensors."""
        count, own = point[self.place], self.batch.count
        rows = [row * own // count for row in range(count)]
        now = values or self.batch.of_items  # items are picked from tensors with numbers
        sized = self.batch.picked(rows, self.rest.example_at(example, self._others(point), values=now))
        return sized if now == values else sized.mapped(_without_values)

    def _others(self, point: Point) -> Point:
        return point[: self.place] + point[self.place + 1 :]


def _without_values(tensor: torch.Tensor) -> torch.Tensor:
    return without_values(tensor, {}) if is_floating(tensor) else tensor
