"""Examples with other numbers of samples, and with other extents along axes of what holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import Varied
from archcheck.measure.shapes.extent_search import Point
from archcheck.measure.shapes.tensor import META


@dataclass(frozen=True, slots=True)
class MoreSamples:
    """The samples of a `batch`, whose number is the coordinate `place` of a point; the others are those of `rest`."""

    batch: Batch
    rest: Varied
    place: int

    @property
    def elements(self) -> int:
        """How many numbers the varied input has in the example."""
        return self.rest.elements * (self.batch.count if self.batch.of_items else 1)

    def samples(self, point: Point) -> tuple[int, int]:
        """Return how many samples there are at a point, and the axis that counts them."""
        return point[self.place], 0 if self.batch.of_items else self.batch.axis

    def shows(self, outputs: Sequence[tuple[tuple[int, ...], str]]) -> bool:
        """Whether shapes of outputs tell how many samples there are: those of a packed sequence do not."""
        return not self.batch.is_packed or outputs[0][0][:1] == (self.batch.count,)

    def shape_at(self, point: Point) -> tuple[int, ...]:
        """Return the shape of the varied input at a point; a list has its length as the first extent."""
        shape = self.rest.shape_at(self._others(point))
        if self.batch.of_items:
            return (point[self.place], *shape)
        axis = self.batch.axis
        return (*shape[:axis], point[self.place], *shape[axis + 1 :])

    def example_at(self, example: Example, point: Point, *, values: bool) -> Example:
        """Return the example with the extents `point`; without `values`, floating inputs are meta tensors."""
        count, own = point[self.place], self.batch.count
        rows = [row * own // count for row in range(count)]
        now = values or self.batch.of_items  # items are taken out of what has numbers
        sized = self.batch.picked(rows, self.rest.example_at(example, self._others(point), values=now))
        return sized if now == values else sized.mapped(_without_numbers)

    def _others(self, point: Point) -> Point:
        return point[: self.place] + point[self.place + 1 :]


def _without_numbers(tensor: torch.Tensor) -> torch.Tensor:
    floats = tensor.is_floating_point() or tensor.is_complex()
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=META) if floats else tensor
