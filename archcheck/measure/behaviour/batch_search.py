"""Finds the batch of an example by running the model on one sample more.

In a list, a packed sequence or several tensors, more than one part may hold the samples. The first tensor may be the
adjacency of a graph, or coordinates that all samples share. Another may hold the samples on its second axis, like the
states of a recurrent network. The batch is the part with which the first output grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from archcheck.measure.behaviour.batches import Batch, Held, held_batch, holds_integers
from archcheck.measure.behaviour.embedding_bags import bags_in
from archcheck.measure.behaviour.probe_context import ProbeContext, main_in
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import choose, goes_with
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.shapes.containers import is_record, tensors_in

_FEWEST_AXES_OF_A_BATCH = 4
"""Axes of a batch of images. A list of such tensors is no list of samples, but for example of feature maps."""
_MOST_LEADS = 8
"""Most tensors of an example that are tried as holders of the samples."""


def batch_of(context: ProbeContext) -> Batch | None:
    """Return the batch of the example of `context`, `None` if nothing certainly counts its samples."""
    if "batch" not in context.known:
        context.known["batch"] = (
            _listed_batch(context) or _bagged_batch(context) or _grown_batch(context) or _named_batch(context)
        )
    found: Batch | None = context.known["batch"]
    return found


def first_axis(context: ProbeContext) -> Batch | None:
    """Return the batch as `batch_of` does, else the first axis of the first input, `None` if no input has an axis."""
    found = batch_of(context)
    first = next((each for each in inputs_of(context.example) if each.dim()), None)
    if found is not None or first is None:
        return found
    count = first.shape[0]
    return held_batch(context.example, count, lambda each: (0,) if each.dim() > 0 and each.shape[0] == count else None)


def groups_of(context: ProbeContext) -> set[int]:
    """Return the possible numbers of groups, if integers assign parts of an input to graphs or bags."""
    given = [each for each in inputs_of(context.example) if holds_integers(each) and each.dim() == 1]
    return {int(each.max()) + 1 for each in given if int(each.min()) >= 0} | {len(each) for each in given}


def _named_batch(context: ProbeContext) -> Batch | None:
    """Return the batch by the axis of the first input that the operation reading it takes as samples."""
    try:
        chosen = choose(context.example, None, context.trace, context.tree)
    except ValueError:
        return None
    return None if chosen.batch is None else _moving(context.example, chosen.tensor, chosen.batch, "together")


# --- by axes that outputs grow with --------------------------------------------------------------------------


def _grown_batch(context: ProbeContext) -> Batch | None:
    """Return the batch with which the first output grows; prefer one with which it also shrinks to one sample.

    `None` if a single tensor allows only one batch, or if the model accepts no other size.
    """
    batches = list(_candidates(context))
    if len(batches) < 2 and len(inputs_of(context.example)) < 2:
        return None
    before = _first_shape(context, context.example)
    growing = (each for each in batches if _follows(context, before, each, each.count + 1))
    first = None
    for each in growing:
        if each.count == 1 or _follows(context, before, each, 1):
            return each
        first = first or each
    return first


def _candidates(context: ProbeContext) -> Iterator[Batch]:
    seen: set[tuple[Held, ...]] = set()
    for tensor, axis in _leads(context):
        for way in ("together", "pairs", "alone", "anywhere"):
            batch = _moving(context.example, tensor, axis, way)
            if batch.held not in seen and not _counts_bags(batch, tensor):
                seen.add(batch.held)
                yield batch


def _leads(context: ProbeContext) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield the tensors that may hold the samples, each with the axis, the most likely first."""
    tensors = inputs_of(context.example)
    try:
        chosen = choose(context.example, None, context.trace, context.tree)
    except ValueError:
        return
    if chosen.batch is not None:
        yield chosen.tensor, chosen.batch
    others = [each for each in tensors if each is not chosen.tensor and each.dim() and each.dtype != torch.bool]
    for tensor in (chosen.tensor, *others[: _MOST_LEADS - 1]):
        yield tensor, 0


def _moving(example: Example, lead: torch.Tensor, axis: int, way: str) -> Batch:
    """Return the batch along an axis of the tensor `lead` and of other tensors, which `way` selects."""
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
    """Whether the samples of a batch would be offsets into another row of integers."""
    parts = zip(inputs_of(batch.example), batch.held, strict=True)
    still = any(axes is None and holds_integers(each) and each.dim() == 1 for each, axes in parts)
    return still and holds_integers(lead) and lead.dim() == 1


def _follows(context: ProbeContext, before: tuple[int, ...], batch: Batch, count: int) -> bool:
    """Whether exactly one axis of the first output grows in proportion when the batch has `count` samples."""
    try:
        after = _first_shape(context, batch.sized(count))
    except Exception:  # other parts of the example may depend on these
        return False
    changed = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
    return len(before) == len(after) and len(changed) == 1 and changed[0][0] * count == changed[0][1] * batch.count


def _first_shape(context: ProbeContext, example: Example) -> tuple[int, ...]:
    first = main_in(context.outputs(example))
    return () if first is None else tuple(first.shape)


# --- by offsets ----------------------------------------------------------------------------------------------


def _bagged_batch(context: ProbeContext) -> Batch | None:
    """Return the bags of an example if the first output has one row per bag, also with one more and with one."""
    for bags in bags_in(context.example):
        try:
            rows = [_first_shape(context, bags.sized(count))[:1] for count in (bags.count, bags.count + 1, 1)]
        except Exception:  # the subject fails, so these are no offsets
            continue
        if rows == [(bags.count,), (bags.count + 1,), (1,)]:
            return bags
    return None


# --- by items ------------------------------------------------------------------------------------------------


def _listed_batch(context: ProbeContext) -> Batch | None:
    """Return the batch of a packed sequence, or of a list or tuple with one item per sample."""
    return next(filter(None, (_listed_in(context, kinds) for kinds in ((list,), (tuple, list)))), None)


def _listed_in(context: ProbeContext, kinds: tuple[type, ...]) -> Batch | None:
    """Return the batch of a packed sequence, or of the outermost sequence of a class in `kinds`."""
    whole = (*kinds, PackedSequence)
    holder = next(_holders(context.example, whole), None)
    first = next((each for each in inputs_of(context.example) if each.dim()), None)
    if isinstance(holder, PackedSequence):
        return _counted(context.example, int(holder.batch_sizes[0]), whole)
    if (
        not isinstance(holder, list | tuple)
        or type(holder) not in kinds
        or first is None
        or first.dim() >= _FEWEST_AXES_OF_A_BATCH
    ):
        return None
    batch = _counted(context.example, len(holder), whole)
    try:
        before, after = (_counts(context.outputs(each)) for each in (context.example, batch.sized(batch.count + 1)))
    except Exception:  # the model needs this number of items
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
    """Yield the outermost objects of a class in `whole` that hold tensors, and the tensors outside of them."""
    found: list[Any] = []

    def keep(each: Any) -> Any:
        found.append(each)
        return each

    example.mapped(keep, whole)
    yield from (each for each in found if next(tensors_in(each), None) is not None)


def _counts(output: Any) -> list[int]:
    """Return two possible numbers of results: the length of a list, and the first extent of the main tensor."""
    first = main_in(output)
    lead = first.shape[0] if first is not None and first.dim() else 0
    return [len(output) if isinstance(output, list | tuple) and not is_record(output) else 0, lead]


def _grows(before: int, after: int, count: int) -> bool:
    return bool(before > 0 and before % count == 0 and after * count == before * (count + 1))
