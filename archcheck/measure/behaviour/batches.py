"""A batch: what counts the samples of an example, and how to make the example with other samples.

It is an axis of the tensors, or the length of a list or a tuple where each item is a sample, as of images of different
sizes, or the number of sequences in a packed sequence. `batch_search` finds it.
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

Held = tuple[int, ...] | None
"""The axes along which a part of the example holds the samples; none at all where they are its items.

`None` for a part that does not hold them. Two axes are those of pairs of samples, as in the adjacency of a graph.
"""

Holds = Callable[[Any], Held]
"""How a tensor, a list or a packed sequence of the example holds the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The `count` samples of an `example`; `held` says for its parts in order how they hold them.

    The parts are its tensors and what is of a class in `whole`: lists, say, or tuples.
    """

    example: Example
    count: int
    whole: tuple[type, ...]
    held: tuple[Held, ...]

    @property
    def of_items(self) -> bool:
        """Whether it is no axis that counts the samples, but a list or a packed sequence."""
        return bool(self.whole)

    @property
    def is_packed(self) -> bool:
        """Whether a packed sequence holds them."""
        found: list[bool] = []
        self._moved_of(self.example, lambda value, axes: found.append(isinstance(value, PackedSequence)))
        return any(found)

    @property
    def axis(self) -> int:
        """The axis of the first tensor that holds the samples."""
        return next((axes[0] for axes in self.held if axes), 0)

    @property
    def first(self) -> int | None:
        """The position among the tensors of the example of the first that holds samples; `None` for items."""
        return None if self.of_items else next(place for place, axes in enumerate(self.held) if axes)

    def sized(self, count: int) -> Example:
        """Return the example with `count` samples; each of its own stands beside its copies, so order stays order."""
        return self.picked([row * self.count // count for row in range(count)])

    def picked(self, rows: Sequence[int], example: Example | None = None) -> Example:
        """Return an example like this one, by default itself, with the samples of these numbers."""
        return self._moved_of(example or self.example, lambda value, axes: _rows_of(value, axes, rows))

    @property
    def is_indexed(self) -> bool:
        """Whether a tensor that does not hold the samples may hold their numbers, as the edges of a graph do."""
        still: list[Any] = []
        self._moved_of(self.example, lambda value, axes: value, still.append)
        return any(counts_up(each) and 0 < int(each.max()) < self.count for each in still)

    def beside(self, others: Example) -> Example:
        """Return the first sample of this example beside the second and later ones of an example like it."""
        return self.mixed(self.example, others, [True] + [False] * (self.count - 1))

    def mixed(self, example: Example, others: Example, kept: Sequence[bool]) -> Example:
        """Return an example with the samples of another like it in place of those that are not `kept`."""
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
        """Return an example with what `function` makes of the parts that hold the samples; let `see` see the others."""
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
    """Return the batch of an example whose parts hold samples as `holds` says."""
    held: list[Held] = []

    def note(value: Any) -> Any:
        held.append(holds(value))
        if held[-1] is None and isinstance(value, list | tuple) and not is_record(value):
            for item in value:
                map_tensors(note, item, whole)
        return value

    example.mapped(note, whole)
    return Batch(example=example, count=count, whole=whole, held=tuple(held))


def counts_up(value: Any) -> bool:
    """Whether it is a tensor of integers."""
    if not isinstance(value, torch.Tensor) or not value.numel() or value.dtype == torch.bool or value.is_quantized:
        return False
    return not (value.is_floating_point() or value.is_complex())


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
    if value.layout is not torch.strided:  # such as the edges of a graph, which belong to all of its nodes
        return value
    mine = torch.tensor(kept, device=value.device).view([-1 if each == axes[0] else 1 for each in range(value.dim())])
    return torch.where(mine, value, other)


def _packed(sequences: list[torch.Tensor]) -> PackedSequence:
    lengths = [len(each) for each in sequences]
    return pack_sequence(sequences, enforce_sorted=lengths == sorted(lengths, reverse=True))
