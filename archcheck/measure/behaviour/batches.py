"""A batch: how an example holds its samples, and how to make the example with other samples.

The samples lie along an axis of tensors, or are the items of a list or a tuple, such as images of different sizes, or
the sequences of a packed sequence. `batch_search` finds the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.containers import is_record, map_tensors
from archcheck.measure.shapes.layouts import rows_of
from archcheck.measure.shapes.tensor import is_floating

Held = tuple[int, ...] | None
"""The axes along which a part of the example holds the samples, `()` if they are its items, `None` if it has none.

Two axes hold pairs of samples, as in the adjacency of a graph.
"""

Holds = Callable[[Any], Held]
"""How a tensor, a list or a packed sequence of the example holds the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The `count` samples of an `example`; `held` says how each of its parts in order holds them.

    The parts are tensors, and objects of a class in `whole`, such as lists or tuples.
    """

    example: Example
    count: int
    whole: tuple[type, ...]
    held: tuple[Held, ...]

    @property
    def of_items(self) -> bool:
        """Whether the samples are items of a list or a packed sequence, and not along an axis."""
        return bool(self.whole)

    @property
    def is_packed(self) -> bool:
        """Whether a packed sequence holds the samples."""
        found: list[bool] = []
        self._moved_of(self.example, lambda value, axes: found.append(isinstance(value, PackedSequence)))
        return any(found)

    @property
    def axis(self) -> int:
        """The axis of samples in the first tensor that has one."""
        return next((axes[0] for axes in self.held if axes), 0)

    @property
    def first(self) -> int | None:
        """The position of the first tensor that holds samples, `None` if the samples are items."""
        return None if self.of_items else next(place for place, axes in enumerate(self.held) if axes)

    def sized(self, count: int) -> Example:
        """Return the example with `count` samples, each beside its copies, so that sorted samples stay sorted."""
        return self.picked([row * self.count // count for row in range(count)])

    def picked(self, rows: Sequence[int], example: Example | None = None) -> Example:
        """Return an example (by default this one) with the samples `rows`."""
        return self._moved_of(example or self.example, lambda value, axes: _rows_of(value, axes, rows))

    @property
    def is_indexed(self) -> bool:
        """Whether a tensor without samples may hold numbers of samples, like the edges of a graph."""
        still: list[Any] = []
        self._moved_of(self.example, lambda value, axes: value, still.append)
        return any(holds_integers(each) and 0 < int(each.max()) < self.count for each in still)

    def beside(self, others: Example) -> Example:
        """Return the first sample of this example beside the other samples of another example."""
        return self.mixed(self.example, others, [True] + [False] * (self.count - 1))

    def mixed(self, example: Example, others: Example, kept: Sequence[bool]) -> Example:
        """Return an example with the samples of another, except those that are `kept`."""
        theirs: list[Any] = []
        self._moved_of(others, lambda value, axes: theirs.append(value) or value)  # type: ignore[func-returns-value]
        pending = iter(theirs)
        return self._moved_of(example, lambda value, axes: _mixed(value, next(pending), kept, axes))

    def _moved_of(
        self,
        example: Example,
        function: Callable[[Any, tuple[int, ...]], Any],
        see: Callable[[Any], None] = lambda value: None,
    ) -> Example:
        """Return an example with `function` applied to the parts that hold samples; call `see` for the other parts."""
        held = iter(self.held)

        def pick(value: Any) -> Any:
            axes = next(held)
            if axes is not None:
                return function(value, axes)
            if isinstance(value, list | tuple) and not is_record(value):
                return type(value)(map_tensors(pick, item, self.whole) for item in value)
            see(value)
            return value

        return example.mapped(pick, self.whole)


def held_batch(example: Example, count: int, holds: Holds, *, whole: tuple[type, ...] = ()) -> Batch:
    """Return the batch of an example; `holds` says how each part holds the samples."""
    held: list[Held] = []

    def note(value: Any) -> Any:
        held.append(holds(value))
        if held[-1] is None and isinstance(value, list | tuple) and not is_record(value):
            for item in value:
                map_tensors(note, item, whole)
        return value

    example.mapped(note, whole)
    return Batch(example=example, count=count, whole=whole, held=tuple(held))


def holds_integers(value: Any) -> bool:
    """Whether a value is a tensor of integers that is not empty."""
    if not isinstance(value, torch.Tensor) or not value.numel() or value.dtype == torch.bool or value.is_quantized:
        return False
    return not is_floating(value)


def _rows_of(value: Any, axes: tuple[int, ...], rows: Sequence[int]) -> Any:
    if isinstance(value, PackedSequence):
        sequences = unpack_sequence(value)
        return _packed([sequences[row] for row in rows])
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(torch.clone, value[row]) for row in rows)
    for axis in axes:
        value = rows_of(value, axis, rows)
    return value


def _mixed(value: Any, other: Any, kept: Sequence[bool], axes: tuple[int, ...]) -> Any:
    if isinstance(value, PackedSequence):
        return _packed(_mixed(unpack_sequence(value), unpack_sequence(other), kept, axes))
    if isinstance(value, list | tuple):
        return type(value)(mine if keep else theirs for mine, theirs, keep in zip(value, other, kept, strict=True))
    if value.layout is not torch.strided:  # such as the edges of a graph, which belong to all nodes
        return value
    mine = torch.tensor(kept, device=value.device).view([-1 if each == axes[0] else 1 for each in range(value.dim())])
    return torch.where(mine, value, other)


def _packed(sequences: list[torch.Tensor]) -> PackedSequence:
    lengths = [len(each) for each in sequences]
    return pack_sequence(sequences, enforce_sorted=lengths == sorted(lengths, reverse=True))
