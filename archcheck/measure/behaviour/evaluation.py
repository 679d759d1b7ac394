"""Probes of evaluation: whether outputs are finite, deterministic, and independent of other samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.behaviour.closeness import NamedDistance, distance, farthest, largest
from archcheck.measure.behaviour.draws_per_sample import Draws
from archcheck.measure.behaviour.example_variants import demand_changeable, large, magnitude, negated, noise, zeros
from archcheck.measure.behaviour.locate import draws, fault_in, origin, spot_told
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.sample_parts import Parts
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_errors import fault_of
from archcheck.measure.shapes.noise import integers
from archcheck.measure.subject.module_tree import Tree

MANY = 1_024
"""Most samples of the large batch."""
CROWD, CROWD_BYTES = 4e9, 1 << 28
"""Most multiply-accumulates of one pass of the large batch, and most bytes of its activations."""
LARGE, LARGE_HALF = 1_000.0, 16.0
"""Factors for large inputs; less for float16, which ends at 65,504: the sums in a layer come close to that."""


def finite_output(context: ProbeContext, inputs: Sequence[str], factor: float | None = None) -> Mapping[str, Any]:
    """Return the `faults` of the outputs for each of `inputs`, with the operation that causes the first."""
    dtype = context.dtype(context.run(context.example))
    factor = factor or (LARGE_HALF if dtype == "float16" else LARGE)
    makers = {
        "example": lambda: context.example,
        "zeros": lambda: zeros(context.example),
        "large": lambda: large(context.example, factor),
        "noise": lambda: noise(context.example, seed=1),
    }
    return {"factor": factor, "runs": [{"input": name, **_finite_run(context, makers[name]())} for name in inputs]}


def _finite_run(context: ProbeContext, example: Example) -> dict[str, Any]:
    try:
        outputs = context.run(example)
    except Exception as error:  # the failure of the subject is the answer
        raised = fault_of(error, context.tree)
        at = spot_told(None, raised.layer, raised.where or raised.called, context.root)
        return {"error": described(error), "faults": {}, "at": at}
    faults = {name: fault for name, tensor in outputs.items() if (fault := fault_in(tensor))}
    spot = origin(context, lambda: context.run(example)) if faults else None
    return {"error": None, "faults": faults, "at": spot and spot.told(context.root)}


def deterministic_in_eval(context: ProbeContext) -> Mapping[str, Any]:
    """Return how far the outputs for one input differ: with another seed, and in a second call with the same seed."""
    with context.passes.untouched(values=True):
        first = context.call(context.example, seed=0)
        first = {name: tensor.clone() for name, tensor in first.items()}
        before = {name: tensor.clone() for name, tensor in context.tree.buffers()}
        second = context.call(context.example, seed=0)
        after = Tree(context.model).buffers()  # the pass may have assigned new tensors
        changed = [name for name, tensor in after if name not in before or distance(tensor, before[name]) != 0]
    other = context.run(context.example, seed=1)
    noisy, drifting = farthest(first, other), farthest(first, second)
    spots = draws(context, lambda: context.run(context.example, seed=1)) if noisy[1] != 0 else []
    return {
        "dtype": context.dtype(first),
        "other_seed": _apart(noisy),
        "second_call": _apart(drifting),
        "draws": [spot.told(context.root) for spot in spots[:5]],
        "changed": changed,
    }


def _apart(found: NamedDistance) -> dict[str, Any]:
    """Return the output and the distance as JSON values."""
    return {"output": found[0], "distance": found[1]}


def independent_of_batch(context: ProbeContext) -> Mapping[str, Any]:
    """Return how far the outputs of a sample differ: beside other neighbours, and alone at another place.

    Neighbours are noise and large numbers of both signs. In a large batch, about half of the samples are exchanged. The
    sample gets the same random numbers in both batches. If the model refuses a batch of one, `failure` says why, and
    the sample is compared beside one neighbour. If it refuses a batch of three, `as_given` says why, and the neighbours
    of the first sample of the example get other numbers. `untried` has the neighbours with which the model fails, and
    why.

    Raises:
        SubjectError: nothing counts the samples, or a part of the example cannot be changed.
    """
    demand_changeable(context.example)
    batch = batch_of(context)
    if batch is None:
        raise SubjectError("input", "no axis of the input is known to count samples")
    try:
        samples = _Samples(batch)
        beside = context.run(samples.pick([1, 2, 0]))
    except Exception as error:  # parts of the example may depend on each other
        return _independent_as_given(context, batch, f"the model takes no batch of three: {described(error)}")
    others = context.run(samples.pick([3, 4, 0]))
    fewer, failure = [0], None
    try:
        apart = context.run(samples.pick(fewer))
    except Exception as error:  # the failure of the subject is part of the answer
        fewer, failure = [3, 0], described(error)
        apart = context.run(samples.pick(fewer))
    parts = Parts(batch, beside, apart, (3, len(fewer)))
    own = parts.of(beside, 2, 3)
    alone = farthest(own, parts.of(apart, len(fewer) - 1, len(fewer)))
    if alone[1] != 0:
        alone = _with_its_draws(context, samples, fewer, parts) or alone
    dtype = context.dtype(beside)
    exchanged, untried = _exchanged(context, samples, parts, LARGE_HALF if dtype == "float16" else LARGE)
    return {
        "dtype": dtype,
        "neighbours": _apart(largest([farthest(own, parts.of(others, 2, 3)), *exchanged[_CROWD]])),
        "large_neighbours": _apart(largest([("", 0.0), *exchanged[_FAR]])),
        "alone": _apart(alone),
        "failure": failure,
        "shared": parts.shared,
        "as_given": None,
        "untried": untried,
    }


_Exchange = tuple[Example, Example, list[bool]]
"""Two examples of the same shapes, and which samples of the first to keep."""

_CROWD, _FAR = "a large batch", "neighbours of large numbers"


def _exchanged(
    context: ProbeContext, samples: _Samples, parts: Parts, factor: float
) -> tuple[dict[str, list[NamedDistance]], dict[str, str]]:
    """Return how far samples differ beside large neighbours, and in a large batch with about half of it exchanged."""
    few = samples.pick([1, 2, 0])
    strong = large(few.mapped(magnitude), factor)
    exchanges: list[tuple[str, Callable[[], _Exchange | None]]] = [
        (_FAR, lambda: (few, strong, [False, False, True])),
        (_FAR, lambda: (few, strong.mapped(negated), [False, False, True])),
        (_CROWD, lambda: _crowd(context, samples.batch)),
    ]
    found: dict[str, list[NamedDistance]] = {_CROWD: [], _FAR: []}
    untried: dict[str, str] = {}
    for name, make in exchanges:
        try:
            if exchange := make():
                found[name].append(_apart_after(context, samples.batch, parts, exchange))
        except Exception as error:  # the model may refuse the numbers, such as an index below zero
            untried[name] = described(error)
    return found, untried


def _crowd(context: ProbeContext, batch: Batch) -> _Exchange | None:
    """Return a large batch that keeps a random half of its samples, `None` if more than three cost too much."""
    each, held = context.macs / batch.count, max(1.0, context.trace.peak_bytes / batch.count)
    count = min(MANY, int(CROWD / each), int(CROWD_BYTES / held))
    if count <= 3:
        return None
    many = batch.sized(count)
    coins = integers(0, 2, (count,), torch.Generator().manual_seed(0)).tolist()
    return noise(many, 2), noise(many, 3), list(map(bool, coins))


def _apart_after(context: ProbeContext, batch: Batch, parts: Parts, exchange: _Exchange) -> NamedDistance:
    example, others, kept = exchange
    first, second = context.run(example), context.run(batch.mixed(example, others, kept))
    return farthest(*(parts.kept(outputs, kept) for outputs in (first, second)))


def _independent_as_given(context: ProbeContext, batch: Batch, reason: str) -> Mapping[str, Any]:
    """Compare the first sample of the example beside others, and alone if the model accepts that."""
    if batch.count < 2:
        raise SubjectError("forward", f"{reason}; and the example has no second sample: give one with several")
    first = context.run(context.example)
    others = context.run(batch.beside(noise(context.example, seed=1)))
    try:
        apart = context.run(batch.picked([0]))
        parts = Parts(batch, first, apart, (batch.count, 1))
    except Exception:  # parts of the example depend on each other, such as a graph and its nodes
        parts = Parts(batch, first, None, (batch.count, 1))
        apart = None
    own = parts.of(first, 0, batch.count)
    return {
        "dtype": context.dtype(first),
        "neighbours": _apart(farthest(own, parts.of(others, 0, batch.count))),
        "large_neighbours": _apart(("", 0.0)),
        "alone": None if apart is None else _apart(farthest(own, parts.of(apart, 0, 1))),
        "failure": None,
        "shared": parts.shared,
        "as_given": reason,
        "untried": {},
    }


class _Samples:
    """A sample of noise and two pairs of others; the pairs have the same sizes, so that the same kernels run."""

    def __init__(self, batch: Batch) -> None:
        pair = [1 % batch.count, 2 % batch.count]
        self.batch = batch
        self._example = noise(batch.picked([0, *pair, *pair]), seed=1)

    def pick(self, rows: Sequence[int]) -> Example:
        """Return the example of the samples with these numbers."""
        return self.batch.picked(rows, self._example)


def _with_its_draws(
    context: ProbeContext, samples: _Samples, fewer: Sequence[int], parts: Parts
) -> NamedDistance | None:
    """Return how far a sample alone differs with the same draws, `None` without draws or with other probabilities."""
    with Draws(3) as draws:
        beside = context.run(samples.pick([1, 2, 0]))
    if not draws.kept:
        return None
    with Draws(len(fewer), again=draws) as again:
        apart = context.run(samples.pick(fewer))
    if again.unlike:
        return None
    return farthest(parts.of(beside, 2, 3), parts.of(apart, len(fewer) - 1, len(fewer)))
