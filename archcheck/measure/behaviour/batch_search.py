"""Finds what counts the samples of an example, by running the model on one more.

Where the example is a list, a packed sequence or several tensors, more than one part of it may count samples: the first
tensor may be the adjacency of a graph, or coordinates that all samples share; another may hold the samples on its
second axis, as the states of a recurrent network do. What counts is what the first output grows with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from archcheck.measure.behaviour.batches import Batch, Held, counts_up, held_batch
from archcheck.measure.behaviour.embedding_bags import bags_in
from archcheck.measure.behaviour.probe_context import Bench, main_in
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import choose, goes_with
from archcheck.measure.passes.forward import inputs_of
from archcheck.measure.shapes.containers import is_record, tensors_in

_FEWEST_AXES_OF_A_BATCH = 4
"""Axes of images in a batch: a list of such tensors is no list of samples, but of maps, say."""
_MOST_LEADS = 8
"""Tensors of an example that are tried as those that hold the samples."""


def batch_of(bench: Bench) -> Batch | None:
    """Return the samples of the example of `bench`, `None` where nothing counts them for certain."""
    if "batch" not in bench.known:
        bench.known["batch"] = (
            _listed_batch(bench) or _bagged_batch(bench) or _grown_batch(bench) or _named_batch(bench)
        )
    found: Batch | None = bench.known["batch"]
    return found


def first_axis(bench: Bench) -> Batch | None:
    """Return the samples as `batch_of` does or, whatever it may mean, by the first axis of the first input."""
    found = batch_of(bench)
    first = next((each for each in inputs_of(bench.example) if each.dim()), None)
    if found is not None or first is None:
        return found
    count = first.shape[0]
    return held_batch(bench.example, count, lambda each: (0,) if each.dim() > 0 and each.shape[0] == count else None)


def groups_of(bench: Bench) -> set[int]:
    """Return how many groups integers may sort the parts of an input into, as nodes into graphs and words into bags."""
    given = [each for each in inputs_of(bench.example) if counts_up(each) and each.dim() == 1]
    return {int(each.max()) + 1 for each in given if int(each.min()) >= 0} | {len(each) for each in given}


def _named_batch(bench: Bench) -> Batch | None:
    """Return the samples by the axis of the first input that counts them by what reads it."""
    try:
        chosen = choose(bench.example, None, bench.trace, bench.tree)
    except ValueError:
        return None
    return None if chosen.batch is None else _moving(bench.example, chosen.tensor, chosen.batch, "together")


# --- by axes that outputs grow with --------------------------------------------------------------------------


def _grown_batch(bench: Bench) -> Batch | None:
    """Return the samples by the axes that the first output grows with; those first with which it shrinks, too.

    Nothing is returned where a single tensor leaves one way to count them, or where the model takes none.
    """
    batches = list(_candidates(bench))
    if len(batches) < 2 and len(inputs_of(bench.example)) < 2:
        return None
    before = _first_shape(bench, bench.example)
    growing = (each for each in batches if _follows(bench, before, each, each.count + 1))
    first = None
    for each in growing:
        if each.count == 1 or _follows(bench, before, each, 1):
            return each
        first = first or each
    return first


def _candidates(bench: Bench) -> Iterator[Batch]:
    seen: set[tuple[Held, ...]] = set()
    for tensor, axis in _leads(bench):
        for way in ("together", "pairs", "alone", "anywhere"):
            batch = _moving(bench.example, tensor, axis, way)
            if batch.held not in seen and not _counts_bags(batch, tensor):
                seen.add(batch.held)
                yield batch


def _leads(bench: Bench) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield the tensors that may hold the samples with the axis, the likeliest first."""
    tensors = inputs_of(bench.example)
    try:
        chosen = choose(bench.example, None, bench.trace, bench.tree)
    except ValueError:
        return
    if chosen.batch is not None:
        yield chosen.tensor, chosen.batch
    others = [each for each in tensors if each is not chosen.tensor and each.dim() and each.dtype != torch.bool]
    for tensor in (chosen.tensor, *others[: _MOST_LEADS - 1]):
        yield tensor, 0


def _moving(example: Example, lead: torch.Tensor, axis: int, way: str) -> Batch:
    """Return the batch of the samples along an axis of one tensor, and of others that go with it in some `way`."""
    count = lead.shape[axis]

    def holds(each: torch.Tensor) -> Held:
        if each is lead:
            return (axis,)
        if way == "alone":
            return None
        if way == "pairs" and axis == 0 and each.dim() == 2 and each.shape == (count, count):
            return (0, 1)
        if goes_with(each, lead, axis):
            return (axis,)
        alike = [number for number, extent in enumerate(each.shape) if extent == count]
        return (alike[0],) if way == "anywhere" and len(alike) == 1 else None

    return held_batch(example, count, holds)


def _counts_bags(batch: Batch, lead: torch.Tensor) -> bool:
    """Whether one row of integers would hold the samples that says where they begin in another, as offsets do."""
    parts = zip(inputs_of(batch.example), batch.held, strict=True)
    still = any(axes is None and counts_up(each) and each.dim() == 1 for each, axes in parts)
    return still and counts_up(lead) and lead.dim() == 1


def _follows(bench: Bench, before: tuple[int, ...], batch: Batch, count: int) -> bool:
    """Whether one axis of the first output, and no other, has as many times as many entries as there are samples."""
    try:
        after = _first_shape(bench, batch.sized(count))
    except Exception:  # whatever the subject raises: these belong to others that were not changed
        return False
    changed = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
    return len(before) == len(after) and len(changed) == 1 and changed[0][0] * count == changed[0][1] * batch.count


def _first_shape(bench: Bench, example: Example) -> tuple[int, ...]:
    first = main_in(bench.outputs(example))
    return () if first is None else tuple(first.shape)


# --- by offsets ----------------------------------------------------------------------------------------------


def _bagged_batch(bench: Bench) -> Batch | None:
    """Return the bags of an example that the first output has a row for each of, with more of them and with one."""
    for bags in bags_in(bench.example):
        try:
            rows = [_first_shape(bench, bags.sized(count))[:1] for count in (bags.count, bags.count + 1, 1)]
        except Exception:  # whatever the subject raises: these are no offsets
            continue
        if rows == [(bags.count,), (bags.count + 1,), (1,)]:
            return bags
    return None


# --- by items ------------------------------------------------------------------------------------------------


def _listed_batch(bench: Bench) -> Batch | None:
    """Return the samples of a packed sequence, or those of a list or tuple that the model takes one by one."""
    return next(filter(None, (_listed_in(bench, kinds) for kinds in ((list,), (tuple, list)))), None)


def _listed_in(bench: Bench, kinds: tuple[type, ...]) -> Batch | None:
    """Return the samples of a packed sequence, or those that the outermost of some `kinds` of sequences holds."""
    whole = (*kinds, PackedSequence)
    holder = next(_holders(bench.example, whole), None)
    first = next((each for each in inputs_of(bench.example) if each.dim()), None)
    if isinstance(holder, PackedSequence):
        return _counted(bench.example, int(holder.batch_sizes[0]), whole)
    if (
        not isinstance(holder, list | tuple)
        or type(holder) not in kinds
        or first is None
        or first.dim() >= _FEWEST_AXES_OF_A_BATCH
    ):
        return None
    batch = _counted(bench.example, len(holder), whole)
    try:
        before, after = (_counts(bench.outputs(each)) for each in (bench.example, batch.sized(batch.count + 1)))
    except Exception:  # whatever the subject raises: it wants as many as there are
        return None
    return batch if any(_grows(*pair, batch.count) for pair in zip(before, after, strict=False)) else None


def _counted(example: Example, count: int, whole: tuple[type, ...]) -> Batch:
    def holds(value: Any) -> Held:
        if isinstance(value, PackedSequence):
            return () if int(value.batch_sizes[0]) == count else None
        if isinstance(value, list | tuple):
            items = len(value) == count and all(next(tensors_in(item), None) is not None for item in value)
            return () if items else None
        return (0,) if value.dim() > 0 and value.shape[0] == count else None

    return held_batch(example, count, holds, whole=whole)


def _holders(example: Example, whole: tuple[type, ...]) -> Iterator[Any]:
    """Yield the outermost of a class in `whole`, or the tensor that is in none, of each input that holds tensors."""
    found: list[Any] = []

    def keep(each: Any) -> Any:
        found.append(each)
        return each

    example.mapped(keep, whole)
    yield from (each for each in found if next(tensors_in(each), None) is not None)


def _counts(output: Any) -> list[int]:
    """Return how many results there seem to be: the length of a list, and the first extent of the first tensor."""
    first = main_in(output)
    lead = first.shape[0] if first is not None and first.dim() else 0
    return [len(output) if isinstance(output, list | tuple) and not is_record(output) else 0, lead]


def _grows(before: int, after: int, count: int) -> bool:
    return bool(before > 0 and before % count == 0 and after * count == before * (count + 1))
