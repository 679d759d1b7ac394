"""What counts the samples of an example, and the example with others of them.

It is an axis of the tensors, or the length of a list where each item is a sample, as of images of different sizes, or
the number of sequences in a packed sequence. Whether a list counts samples, the model tells: one more item is one
more result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

from archcheck.errors import SubjectError
from archcheck.measure.behaviour.bench import Bench, Outputs
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import choose, goes_with
from archcheck.measure.passes.forward import inputs_of
from archcheck.measure.shapes.containers import is_record, map_tensors, tensors_in

_FEWEST_AXES_OF_A_BATCH = 4
"""Axes of images in a batch: a list of such tensors is no list of samples, but of maps, say."""

Moves = Callable[[Any], bool]
"""Whether a tensor, a list or a packed sequence of the example holds the samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The `count` samples of an `example`. `moved` says in order which of its parts hold them.

    `axis` is that of tensors that counts them. A `square` tensor, such as the adjacency of a graph, is of pairs of
    samples, where that is asked for.
    """

    example: Example
    count: int
    axis: int
    whole: tuple[type, ...]
    moved: tuple[bool, ...]
    square: bool = False

    @property
    def of_items(self) -> bool:
        """Whether it is no axis that counts the samples, but a list or a packed sequence."""
        return bool(self.whole)

    def sized(self, count: int) -> Example:
        """Return the example with `count` samples; each of its own stands beside its copies, so order stays order."""
        return self.picked([row * self.count // count for row in range(count)])

    def picked(self, rows: Sequence[int], example: Example | None = None) -> Example:
        """Return an example like this one, by default itself, with the samples of these numbers."""
        return self._moved_of(example or self.example, lambda value: self._rows_of(value, rows))

    def _rows_of(self, value: Any, rows: Sequence[int]) -> Any:
        if isinstance(value, list):
            return [map_tensors(torch.clone, value[row]) for row in rows]
        if isinstance(value, PackedSequence):
            sequences = unpack_sequence(value)
            return _packed([sequences[row] for row in rows])
        axes = (0, 1) if self.square and value.shape[:2] == (self.count, self.count) else (self.axis,)
        for axis in axes:
            value = value.index_select(axis, torch.tensor(rows, dtype=torch.long, device=value.device))
        return value

    @property
    def is_indexed(self) -> bool:
        """Whether a tensor that does not hold the samples may hold their numbers, as the edges of a graph do."""
        still: list[Any] = []
        self._moved_of(self.example, lambda value: value, still.append)
        return any(_counts_up(each) and 0 < int(each.max()) < self.count for each in still)

    def beside(self, others: Example) -> Example:
        """Return the first sample of this example beside the second and later ones of an example like it."""
        return self.mixed(self.example, others, [True] + [False] * (self.count - 1))

    def mixed(self, example: Example, others: Example, kept: Sequence[bool]) -> Example:
        """Return an example like this one with the samples that are kept, each at its place among those of another."""
        theirs: list[Any] = []
        self._moved_of(others, lambda value: theirs.append(value) or value)  # type: ignore[func-returns-value]
        pending = iter(theirs)
        return self._moved_of(example, lambda value: _mixed(value, next(pending), kept, self.axis))

    def _moved_of(
        self, example: Example, function: Callable[[Any], Any], see: Callable[[Any], None] = lambda value: None
    ) -> Example:
        """Return an example with what `function` makes of the parts that hold the samples; let `see` see the others."""
        moved = iter(self.moved)

        def pick(value: Any) -> Any:
            if next(moved):
                return function(value)
            if isinstance(value, list):
                return [map_tensors(pick, item, self.whole) for item in value]
            see(value)
            return value

        return example.mapped(pick, self.whole)


def _mixed(value: Any, other: Any, kept: Sequence[bool], axis: int) -> Any:
    if isinstance(value, list):
        return [mine if keep else theirs for mine, theirs, keep in zip(value, other, kept, strict=True)]
    if isinstance(value, PackedSequence):
        return _packed(_mixed(unpack_sequence(value), unpack_sequence(other), kept, axis))
    if value.layout is not torch.strided:  # such as the edges of a graph, which belong to all of its nodes
        return value
    mine = torch.tensor(kept, device=value.device).view([-1 if each == axis else 1 for each in range(value.dim())])
    return torch.where(mine, value, other)


def _packed(sequences: list[torch.Tensor]) -> PackedSequence:
    lengths = [len(each) for each in sequences]
    return pack_sequence(sequences, enforce_sorted=lengths == sorted(lengths, reverse=True))


def _counts_up(value: Any) -> bool:
    """Whether it is a tensor of integers."""
    if not isinstance(value, torch.Tensor) or not value.numel() or value.dtype == torch.bool or value.is_quantized:
        return False
    return not (value.is_floating_point() or value.is_complex())


def _batch(example: Example, count: int, moves: Moves, *, axis: int = 0, whole: tuple[type, ...] = ()) -> Batch:
    moved: list[bool] = []

    def note(value: Any) -> Any:
        moved.append(moves(value))
        if not moved[-1] and isinstance(value, list):
            for item in value:
                map_tensors(note, item, whole)
        return value

    example.mapped(note, whole)
    return Batch(example=example, count=count, axis=axis, whole=whole, moved=tuple(moved))


def batch_of(bench: Bench) -> Batch | None:
    """Return the samples of the example of `bench`, `None` where nothing counts them for certain."""
    listed = _listed_batch(bench)
    if listed is not None:
        return listed
    try:
        chosen = choose(bench.example, None, bench.trace, bench.tree)
    except ValueError:
        return None
    axis = chosen.batch
    if axis is None:
        return None
    return _batch(
        bench.example, chosen.tensor.shape[axis], lambda each: goes_with(each, chosen.tensor, axis), axis=axis
    )


def first_axis(bench: Bench) -> Batch | None:
    """Return the samples as counted by a list or, whatever it may mean, by the first axis of the first input."""
    listed = _listed_batch(bench)
    if listed is not None:
        return listed
    first = next((each for each in inputs_of(bench.example) if each.dim()), None)
    if first is None:
        return None
    count = first.shape[0]
    return _batch(bench.example, count, lambda each: each.dim() > 0 and each.shape[0] == count)


def _listed_batch(bench: Bench) -> Batch | None:
    """Return the samples of a packed sequence, or those of a list that the model takes one by one."""
    holder = next(_holders(bench.example), None)
    first = next((each for each in inputs_of(bench.example) if each.dim()), None)
    if isinstance(holder, PackedSequence):
        return _counted(bench.example, int(holder.batch_sizes[0]))
    if not isinstance(holder, list) or first is None or first.dim() >= _FEWEST_AXES_OF_A_BATCH:
        return None
    batch = _counted(bench.example, len(holder))
    try:
        before, after = (_counts(bench.outputs(each)) for each in (bench.example, batch.sized(batch.count + 1)))
    except Exception:  # whatever the subject raises: it wants as many as there are
        return None
    return batch if any(_grows(*pair, batch.count) for pair in zip(before, after, strict=False)) else None


def _counted(example: Example, count: int) -> Batch:
    def moves(value: Any) -> bool:
        if isinstance(value, list):
            return len(value) == count and all(next(tensors_in(item), None) is not None for item in value)
        if isinstance(value, PackedSequence):
            return int(value.batch_sizes[0]) == count
        return bool(value.dim() > 0 and value.shape[0] == count)

    return _batch(example, count, moves, whole=(list, PackedSequence))


def _holders(example: Example) -> Iterator[Any]:
    """Yield the outermost list or packed sequence, or the tensor that is in none, of each input that holds tensors."""
    found: list[Any] = []
    example.mapped(lambda each: found.append(each) or each, (list, PackedSequence))  # type: ignore[func-returns-value]
    yield from (each for each in found if next(tensors_in(each), None) is not None)


def _counts(output: Any) -> list[int]:
    """Return how many results there seem to be: the length of a list, and the first extent of the first tensor."""
    first = next(tensors_in(output), None)
    lead = first.shape[0] if first is not None and first.dim() else 0
    return [len(output) if isinstance(output, list | tuple) and not is_record(output) else 0, lead]


def _grows(before: int, after: int, count: int) -> bool:
    return bool(before > 0 and before % count == 0 and after * count == before * (count + 1))


class Parts:
    """Which part of each output belongs to which sample, from two passes on so many samples each.

    That is a stretch of the axis that grows with them or, where the output is a list of results, one of them. Without a
    second pass it is that of the first axis that is as long as there are samples.
    """

    def __init__(self, batch: Batch, many: Outputs, fewer: Outputs | None, counts: tuple[int, int]) -> None:
        self._listed = batch.of_items and _length(many) == counts[0] and _length(fewer or {}) in (counts[1], 0)
        self._axes = {} if self._listed else _axes(many, fewer, counts)
        self.shared = [] if self._listed else sorted(many.keys() - self._axes.keys())
        if not self._listed and not self._axes:
            raise SubjectError("forward", "no output grows with the batch, so no sample has one of its own")

    def of(self, outputs: Outputs, sample: int, count: int) -> Outputs:
        """Return what belongs to one sample of `count`."""
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
        """Return what belongs to the samples that are kept, of as many as there are in `kept`."""
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
    """Return how many results a list of them holds, 0 for anything else."""
    numbers = {name.partition(".")[0] for name in outputs}
    return len(numbers) if all(each.isdecimal() for each in numbers) else 0


def _axes(many: Outputs, fewer: Outputs | None, counts: tuple[int, int]) -> dict[str, int]:
    """Return the axis of each output that has so many entries for each of the samples."""
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
