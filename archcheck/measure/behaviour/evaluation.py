"""Probes of evaluation: whether outputs are numbers, the same each time, and each sample's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.json_codec import encode
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.batches import Batch
from archcheck.measure.behaviour.closeness import distance, farthest
from archcheck.measure.behaviour.draws_per_sample import Draws
from archcheck.measure.behaviour.example_variants import demand_changeable, large, magnitude, negated, noise, zeros
from archcheck.measure.behaviour.locate import draws, fault_in, origin
from archcheck.measure.behaviour.probe_context import Bench
from archcheck.measure.behaviour.sample_parts import Parts
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward_errors import fault_of
from archcheck.measure.shapes.noise import integers
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import relative

MANY = 1_024
"""Samples of the largest batch that is tried."""
CROWD = 4e9
"""Multiply-accumulates for one pass of such a batch, and the bytes of its activations below."""
CROWD_BYTES = 1 << 28
LARGE = 1_000.0
LARGE_HALF = 16.0
"""Factors of the example that are large: float16 ends at 65,504, and sums of a layer come close to that."""


def finite_output(bench: Bench, inputs: Sequence[str], factor: float | None = None) -> Mapping[str, Any]:
    """What is not finite in which output, for each of `inputs`, and where it begins."""
    dtype = bench.dtype(bench.run(bench.example))
    factor = factor or (LARGE_HALF if dtype == "float16" else LARGE)
    makers = {
        "example": lambda: bench.example,
        "zeros": lambda: zeros(bench.example),
        "large": lambda: large(bench.example, factor),
        "noise": lambda: noise(bench.example, seed=1),
    }
    return {"factor": factor, "runs": [{"input": name, **_finite_run(bench, makers[name]())} for name in inputs]}


def _finite_run(bench: Bench, example: Example) -> dict[str, Any]:
    try:
        outputs = bench.run(example)
    except Exception as error:  # whatever the subject raises: that it fails is the answer
        raised = fault_of(error, bench.tree)
        where = encode(relative(raised.where or raised.called, bench.root))
        return {"error": described(error), "faults": {}, "at": {"op": None, "layer": raised.layer, "where": where}}
    faults = {name: fault for name, tensor in outputs.items() if (fault := fault_in(tensor))}
    at = origin(bench, lambda: bench.run(example)) if faults else None
    return {"error": None, "faults": faults, "at": at and at.told(bench.root)}


def deterministic_in_eval(bench: Bench) -> Mapping[str, Any]:
    """How far outputs of the same input are apart: with other random numbers, and in a second call with the same."""
    with bench.passes.untouched(values=True):
        first = bench.call(bench.example, seed=0)
        first = {name: tensor.clone() for name, tensor in first.items()}
        before = {name: tensor.clone() for name, tensor in bench.tree.buffers()}
        second = bench.call(bench.example, seed=0)
        after = Tree(bench.model).buffers()  # one that was assigned again is another tensor
        changed = [name for name, tensor in after if name not in before or distance(tensor, before[name]) != 0]
    other = bench.run(bench.example, seed=1)
    noisy, drifting = farthest(first, other), farthest(first, second)
    spots = draws(bench, lambda: bench.run(bench.example, seed=1)) if noisy[1] != 0 else []
    return {
        "dtype": bench.dtype(first),
        "other_seed": _apart(noisy),
        "second_call": _apart(drifting),
        "draws": [spot.told(bench.root) for spot in spots[:5]],
        "changed": changed,
    }


def _apart(found: tuple[str, float | None]) -> dict[str, Any]:
    """Return the output and the distance; `None` for one beyond all numbers."""
    return {"output": found[0], "distance": found[1]}


def independent_of_batch(bench: Bench) -> Mapping[str, Any]:
    """How far a sample's outputs are apart: beside other neighbours at the same place, and alone at another.

    Neighbours are noise and large numbers of either sign; and in a batch as large as can be afforded, about half of
    the samples are exchanged. What a model draws for the sample in one batch it draws for it in the other, too.
    A model that takes no batch of one has its `failure` told, and is looked at beside one neighbour instead.
    One that takes no batch of three is looked at on the example `as_given`, which says why, with other numbers in the
    neighbours of its first sample.
    `untried` says with which of them the model fails, and how.
    """
    demand_changeable(bench.example)
    batch = batch_of(bench)
    if batch is None:
        raise SubjectError("input", "no axis of the input is known to count samples")
    try:
        samples = _Samples(batch, seed=1)
        beside = bench.run(samples.pick([1, 2, 0]))
    except Exception as error:  # whatever comes of parts that belong to each other
        return _independent_as_given(bench, batch, f"the model takes no batch of three: {described(error)}")
    others = bench.run(samples.pick([3, 4, 0]))
    fewer, failure = [0], None
    try:
        apart = bench.run(samples.pick(fewer))
    except Exception as error:  # whatever the subject raises: that it fails is an answer
        fewer, failure = [3, 0], described(error)
        apart = bench.run(samples.pick(fewer))
    parts = Parts(batch, beside, apart, (3, len(fewer)))
    own = parts.of(beside, 2, 3)
    alone = farthest(own, parts.of(apart, len(fewer) - 1, len(fewer)))
    if alone[1] != 0:
        alone = _with_its_draws(bench, samples, fewer, parts) or alone
    dtype = bench.dtype(beside)
    exchanged, untried = _exchanged(bench, samples, parts, LARGE_HALF if dtype == "float16" else LARGE)
    return {
        "dtype": dtype,
        "neighbours": _apart(_farther(farthest(own, parts.of(others, 2, 3)), *exchanged[_CROWD])),
        "large_neighbours": _apart(_farther(("", 0.0), *exchanged[_FAR])),
        "alone": _apart(alone),
        "failure": failure,
        "shared": parts.shared,
        "as_given": None,
        "untried": untried,
    }


_Distance = tuple[str, float | None]


def _farther(*found: _Distance) -> _Distance:
    return max(found, key=lambda each: math.inf if each[1] is None else each[1])


_Exchange = tuple[Example, Example, list[bool]]
"""An example, another like it, and which samples of the former to keep."""

_CROWD, _FAR = "a large batch", "neighbours of large numbers"


def _exchanged(
    bench: Bench, samples: _Samples, parts: Parts, factor: float
) -> tuple[dict[str, list[_Distance]], dict[str, str]]:
    """Return how far samples are apart beside large neighbours, and among many of which about half are exchanged."""
    few = samples.pick([1, 2, 0])
    strong = large(few.mapped(magnitude), factor)
    exchanges: list[tuple[str, Callable[[], _Exchange | None]]] = [
        (_FAR, lambda: (few, strong, [False, False, True])),
        (_FAR, lambda: (few, strong.mapped(negated), [False, False, True])),
        (_CROWD, lambda: _crowd(bench, samples.batch)),
    ]
    found: dict[str, list[_Distance]] = {_CROWD: [], _FAR: []}
    untried: dict[str, str] = {}
    for name, make in exchanges:
        try:
            if exchange := make():
                found[name].append(_apart_after(bench, samples.batch, parts, exchange))
        except Exception as error:  # what the model does not take, such as an index below zero
            untried[name] = described(error)
    return found, untried


def _crowd(bench: Bench, batch: Batch) -> _Exchange | None:
    """Keep half of many samples, at places without a period; `None` where more than a few cost too much."""
    each, held = bench.macs / batch.count, max(1.0, bench.trace.peak_bytes / batch.count)
    count = min(MANY, int(CROWD / each), int(CROWD_BYTES / held))
    if count <= 3:
        return None
    many = batch.sized(count)
    coins = integers(0, 2, (count,), torch.Generator().manual_seed(0)).tolist()
    return noise(many, 2), noise(many, 3), list(map(bool, coins))


def _apart_after(bench: Bench, batch: Batch, parts: Parts, exchange: _Exchange) -> _Distance:
    example, others, kept = exchange
    first, second = bench.run(example), bench.run(batch.mixed(example, others, kept))
    return farthest(*(parts.kept(outputs, kept) for outputs in (first, second)))


def _independent_as_given(bench: Bench, batch: Batch, reason: str) -> Mapping[str, Any]:
    """Look at the first sample of the example: beside others, and alone where the model takes it so."""
    if batch.count < 2:
        raise SubjectError("forward", f"{reason}; and the example has no second sample: give one with several")
    first = bench.run(bench.example)
    others = bench.run(batch.beside(noise(bench.example, seed=1)))
    try:
        apart = bench.run(batch.picked([0]))
        parts = Parts(batch, first, apart, (batch.count, 1))
    except Exception:  # of parts that belong to each other, such as a graph and its nodes
        parts = Parts(batch, first, None, (batch.count, 1))
        apart = None
    own = parts.of(first, 0, batch.count)
    return {
        "dtype": bench.dtype(first),
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

    def __init__(self, batch: Batch, seed: int) -> None:
        pair = [1 % batch.count, 2 % batch.count]
        self.batch = batch
        self._example = noise(batch.picked([0, *pair, *pair]), seed)

    def pick(self, rows: Sequence[int]) -> Example:
        """Return the example of the samples with these numbers."""
        return self.batch.picked(rows, self._example)


def _with_its_draws(
    bench: Bench, samples: _Samples, fewer: Sequence[int], parts: Parts
) -> tuple[str, float | None] | None:
    """Return how far a sample is apart alone where it draws the same numbers; `None` if it draws none, or would not."""
    with Draws(3) as draws:
        beside = bench.run(samples.pick([1, 2, 0]))
    if not draws.kept:
        return None
    with Draws(len(fewer), again=draws) as again:
        apart = bench.run(samples.pick(fewer))
    if again.unlike:
        return None
    return farthest(parts.of(beside, 2, 3), parts.of(apart, len(fewer) - 1, len(fewer)))
