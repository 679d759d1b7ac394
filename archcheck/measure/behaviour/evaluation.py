"""Probes of evaluation: whether outputs are numbers, the same each time, and each sample's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from archcheck.codec import encode
from archcheck.errors import SubjectError, described
from archcheck.measure.behaviour.bench import Bench, Outputs
from archcheck.measure.behaviour.closeness import distance, farthest
from archcheck.measure.behaviour.draws import Draws
from archcheck.measure.behaviour.variants import Samples, large, magnitude, negated, noise, zeros
from archcheck.measure.behaviour.witness import draws, fault_in, origin
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.faults import fault_of
from archcheck.measure.subject.places import relative
from archcheck.measure.subject.tree import Tree

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
        after = Tree(bench.model).buffers()  # one that was assigned anew is another tensor
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
    `untried` says with which of them the model fails, and how.
    """
    samples = Samples(bench, 5, seed=1)
    try:
        beside = bench.run(samples.pick([1, 2, 0]))
    except Exception as error:
        raise SubjectError("forward", f"the model takes no batch of three: {described(error)}") from error
    others = bench.run(samples.pick([3, 4, 0]))
    fewer, failure = [0], None
    try:
        apart = bench.run(samples.pick(fewer))
    except Exception as error:  # whatever the subject raises: that it fails is an answer
        fewer, failure = [3, 0], described(error)
        apart = bench.run(samples.pick(fewer))
    axes = _batch_axes(beside, apart, len(fewer))
    if not axes:
        raise SubjectError("forward", "no output grows with the batch, so no sample has one of its own")
    own = _last(beside, axes, 3)
    alone = farthest(own, _last(apart, axes, len(fewer)))
    if alone[1] != 0:
        alone = _with_its_draws(bench, samples, fewer, axes) or alone
    dtype = bench.dtype(beside)
    exchanged, untried = _exchanged(bench, axes, LARGE_HALF if dtype == "float16" else LARGE)
    return {
        "dtype": dtype,
        "neighbours": _apart(_farther(farthest(own, _last(others, axes, 3)), *exchanged[_CROWD])),
        "large_neighbours": _apart(_farther(("", 0.0), *exchanged[_FAR])),
        "alone": _apart(alone),
        "failure": failure,
        "shared": sorted(beside.keys() - axes.keys()),
        "untried": untried,
    }


_Distance = tuple[str, float | None]


def _farther(*found: _Distance) -> _Distance:
    return max(found, key=lambda each: math.inf if each[1] is None else each[1])


_Exchange = tuple[Samples, Example, Callable[[int], bool]]
"""Samples, others in their place, and which to keep."""


_CROWD, _FAR = "a large batch", "neighbours of large numbers"


def _exchanged(
    bench: Bench, axes: Mapping[str, int], factor: float
) -> tuple[dict[str, list[_Distance]], dict[str, str]]:
    """Return how far samples are apart beside large neighbours, and among many of which about half are exchanged."""
    few = Samples(bench, 3, seed=1)
    strong = large(few.example.mapped(magnitude), factor)
    exchanges: list[tuple[str, Callable[[], _Exchange | None]]] = [
        (_FAR, lambda: (few, strong, lambda row: row == few.count - 1)),
        (_FAR, lambda: (few, strong.mapped(negated), lambda row: row == few.count - 1)),
        (_CROWD, lambda: _crowd(bench)),
    ]
    found: dict[str, list[_Distance]] = {_CROWD: [], _FAR: []}
    untried: dict[str, str] = {}
    for name, make in exchanges:
        try:
            if exchange := make():
                found[name].append(_apart_after(bench, axes, exchange))
        except Exception as error:  # what the model does not take, such as an index below zero
            untried[name] = described(error)
    return found, untried


def _crowd(bench: Bench) -> _Exchange | None:
    """Keep half of many samples, at places without a period; `None` where more than a few cost too much."""
    each, held = bench.macs / bench.samples, max(1.0, bench.trace.peak_bytes / bench.samples)
    count = min(MANY, int(CROWD / each), int(CROWD_BYTES / held))
    if count <= 3:
        return None
    samples, others = Samples(bench, count, seed=2), Samples(bench, count, seed=3)
    coins = torch.randint(2, (samples.count,), generator=torch.Generator().manual_seed(0)).tolist()
    return samples, others.example, lambda row: bool(coins[row])


def _apart_after(bench: Bench, axes: Mapping[str, int], exchange: _Exchange) -> _Distance:
    samples, others, kept = exchange
    first, second = bench.run(samples.example), bench.run(samples.beside(others, kept))
    return farthest(*(_kept(outputs, axes, kept, samples.count) for outputs in (first, second)))


def _kept(outputs: Outputs, axes: Mapping[str, int], kept: Callable[[int], bool], count: int) -> Outputs:
    """Return what belongs to the samples that are kept."""
    rows = [row for row in range(count) if kept(row)]
    found: Outputs = {}
    for name, axis in axes.items():
        if (tensor := outputs.get(name)) is not None:
            shape = (*tensor.shape[:axis], count, -1, *tensor.shape[axis + 1 :])
            found[name] = tensor.reshape(shape).index_select(axis, torch.tensor(rows, device=tensor.device))
    return found


def _with_its_draws(
    bench: Bench, samples: Samples, fewer: Sequence[int], axes: Mapping[str, int]
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
    return farthest(_last(beside, axes, 3), _last(apart, axes, len(fewer)))


def _batch_axes(three: Outputs, fewer: Outputs, count: int) -> dict[str, int]:
    """Return the axis of each output that has so many entries for each of three and of `count` samples."""
    found: dict[str, int] = {}
    for name in three.keys() & fewer.keys():
        one, other = three[name].shape, fewer[name].shape
        axes = [axis for axis, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
        if len(one) == len(other) and len(axes) == 1 and one[axes[0]] * count == other[axes[0]] * 3:
            found[name] = axes[0]
    return found


def _last(outputs: Outputs, axes: Mapping[str, int], count: int) -> Outputs:
    """Return what belongs to the last of `count` samples."""
    return {
        name: tensor.narrow(axis, tensor.shape[axis] // count * (count - 1), tensor.shape[axis] // count)
        for name, axis in axes.items()
        if (tensor := outputs.get(name)) is not None
    }
