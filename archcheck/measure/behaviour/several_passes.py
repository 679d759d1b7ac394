"""Several real passes where values decide what runs: on varied inputs, each with draws of its own.

One pass shows one way through the code. So the example is followed by zeros, by its own numbers with the other sign,
in another order and farther apart, and by noise of several sizes; tokens stay within the range that the example shows.
What still ran in no pass may wait for a larger batch, or for parameters that training has moved: an expert whom a
router without training never asks. Passes on those settle it; they are in no graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.behaviour.batch_search import batch_of
from archcheck.measure.behaviour.example_variants import centred, negated, noise, zeros
from archcheck.measure.behaviour.probe_context import Bench
from archcheck.measure.behaviour.training_batches import NotTaken, learn
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import AFFORDABLE, inputs_of
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import may_differ, reads
from archcheck.measure.shapes.noise import normal
from archcheck.measure.subject.module_tree import Tree

PASSES = 16
"""Passes in each mode where values decide: what runs in none of them hardly ever runs."""
_ALIKE = 4
"""Passes after which nothing differs, if no code was seen to read a value."""
_ALLOWANCE = 5 * AFFORDABLE
"""Multiply-accumulates up to which all passes of a mode may cost: about five seconds of one core."""
_STEP = 2_000_000
"""Multiply-accumulates that take as long as an operation does without any, when it is traced."""
_SAMPLES = 16
"""Samples of a batch that a layer may wait for until the data send something through it."""
_SCALES = (1.0, 3.0, 10.0)
"""Factors of parameters that are drawn again: how sure a router or an exit is grows with them."""


@dataclass(frozen=True, slots=True)
class Several:
    """The passes of each mode, the first of them on the example; `decided` says that values may decide what runs.

    `examples` are the inputs of the passes of both modes, `changed` the places of the inputs that were given other
    numbers, `few` whether more passes should have been taken than could be afforded. `unmeasured` says why there is no
    pass in training where the first one failed on real numbers.
    """

    evaluation: tuple[Trace, ...]
    training: tuple[Trace, ...]
    examples: tuple[tuple[Example, ...], tuple[Example, ...]] = ((), ())
    changed: frozenset[int] = frozenset()
    decided: bool = False
    few: bool = False
    unmeasured: tuple[str, ...] = ()

    @classmethod
    def of(cls, evaluation: Trace, training: Trace | None) -> Several:
        """Return a single pass of each mode."""
        return cls(evaluation=(evaluation,), training=() if training is None else (training,))

    def ordered(self, evaluation: Iterable[int], training: Iterable[int]) -> tuple[Trace, ...]:
        """Return the passes of these numbers, the first of each mode before the others."""
        modes = ((self.evaluation, sorted(evaluation)), (self.training, sorted(training)))
        chosen = [[traces[number] for number in numbers if number < len(traces)] for traces, numbers in modes]
        return tuple(trace for part in (slice(1), slice(1, None)) for traces in chosen for trace in traces[part])

    @property
    def traces(self) -> tuple[Trace, ...]:
        """All of them."""
        return self.evaluation + self.training


def several(bench: Bench, training: Trace | None) -> Several:
    """Return the passes of both modes: one, where nothing that differs is read or drawn, or more cannot be afforded.

    Raises:
        SubjectError: the example cannot be run in evaluation on real numbers.
    """
    given = [trace for trace in (bench.trace, training) if trace is not None]
    changed = _changed(bench) if any(map(may_differ, given)) else frozenset[int]()
    inputs, evaluation = _passes(bench, bench.trace, changed, training=False)
    train_inputs, trained, unmeasured = list[Example](), list[Trace](), tuple[str, ...]()
    if training is not None:
        try:
            train_inputs, trained = _passes(bench, training, changed, training=True)
        except SubjectError as error:
            given, unmeasured = [bench.trace], (f"training mode: {error}",)
    decided = [taken for trace, taken in zip(given, (evaluation, trained), strict=False) if may_differ(trace, changed)]
    return Several(
        evaluation=tuple(evaluation),
        training=tuple(trained),
        examples=(tuple(inputs), tuple(train_inputs)),
        changed=changed,
        decided=bool(decided),
        few=any(len(taken) < PASSES and not (len(taken) >= _ALIKE and _are_alike(taken)) for taken in decided),
        unmeasured=unmeasured,
    )


def _passes(
    bench: Bench, first: Trace, changed: frozenset[int], *, training: bool
) -> tuple[list[Example], list[Trace]]:
    """Return the passes of a mode with their inputs."""
    passes = bench.passes
    if not may_differ(first, changed) or not passes.affords(first):
        return [bench.example], [first]
    run = partial(passes.trace, training=training, real=True)
    examples, traces = [bench.example], [first if first.real else run(bench.example)]
    cost = sum(event.macs for event in traces[0].events) + _STEP * len(traces[0].events)
    count = min(PASSES, 1 + _ALLOWANCE // max(1, cost))
    draws = traces[0].chance or any(event.told.draws for event in traces[0].events)
    certain = traces[0].chance or bool(reads(traces[0], changed))
    for seed, example in enumerate(_others(bench) if changed else [bench.example] * (PASSES - 1) * draws, 1):
        if len(traces) >= count or (len(traces) == _ALIKE and not certain and _are_alike(traces)):
            break
        with suppress(SubjectError):  # numbers that nobody promised to give it
            traces.append(run(example, seed=seed))
            examples.append(example)
    return examples, traces


def _changed(bench: Bench) -> frozenset[int]:
    """Return the places of the inputs that can be given other numbers; without memory, that is any."""
    given = inputs_of(bench.example)
    if bench.passes.on_meta:
        return frozenset(range(len(given)))
    try:
        other = noise(bench.example, 1)
    except Exception:  # torch draws no numbers of some kinds
        return frozenset()
    pairs = zip(given, inputs_of(other), strict=True)
    return frozenset(place for place, (tensor, changed) in enumerate(pairs) if tensor is not changed)


def _others(bench: Bench) -> Iterator[Example]:
    """Yield examples like the one given with other numbers, the plain ones first."""
    example = bench.example
    yield zeros(example)
    yield example.mapped(negated)
    yield from _reordered(bench)
    factors = (1.0, 1.0, 4.0, 0.01, 100.0, 1.0, 10.0)
    for seed in range(1, 2 * PASSES):
        other, factor = noise(example, seed), factors[seed % len(factors)]
        yield other.mapped(partial(centred, factor=factor)) if seed % 2 or factor != 1 else other


def _reordered(bench: Bench) -> Iterator[Example]:
    """Yield the example with its samples in the other order, and with the first of them alone in all places."""
    with suppress(Exception):  # torch picks no entries of some kinds of tensors
        batch = batch_of(bench)
        if batch is not None and batch.count > 1:
            yield batch.picked(range(batch.count - 1, -1, -1))
            yield batch.picked([0] * batch.count)


def _are_alike(traces: Sequence[Trace]) -> bool:
    looks = [[(event.op, event.layer, event.where, event.shapes) for event in trace.events] for trace in traces]
    return all(look == looks[0] for look in looks)


def further(bench: Bench, training: bool) -> Iterator[Trace]:
    """Yield passes that may run what none of the others did: on larger batches, and with other parameters."""
    left = _ALLOWANCE // 2
    for seed in range(1, 2 * PASSES + 1):
        if left <= 0:
            break
        prepare = partial(_scatter, bench.passes.tree, seed) if seed % 2 else None
        step = partial(_pass, bench, seed, training, prepare)
        with suppress(Exception):  # whatever the subject raises on other numbers, or no axis of samples is known
            trace = learn(bench, _SAMPLES, AFFORDABLE, seed, step)
            left -= sum(event.macs for event in trace.events) + _STEP * len(trace.events)
            yield trace


def _pass(
    bench: Bench, seed: int, training: bool, prepare: Callable[[], None] | None, example: Example, samples: int
) -> Trace:
    """Trace on other numbers, every other time on such as are farther apart."""
    example = example.mapped(partial(centred, factor=seed**2)) if seed % 4 > 1 else example
    try:
        return bench.passes.trace(example, training=training, real=True, seed=seed, prepare=prepare)
    except SubjectError as error:
        raise NotTaken(error.kind, str(error)) from error


def _scatter(tree: Tree, seed: int) -> None:
    """Draw every parameter that can be trained again, spread as it is, or as far as it is from zero."""
    generator = torch.Generator().manual_seed(seed)
    factor = _SCALES[seed % len(_SCALES)]
    with torch.no_grad():
        for _, tensor in tree.parameters():
            if tensor.requires_grad and tensor.is_floating_point() and tensor.numel():
                spread = float(tensor.std()) if tensor.numel() > 1 else 0.0
                spread = factor * (spread or float(tensor.abs().mean()) or 1.0)
                tensor.copy_((normal(tensor.shape, generator) * spread).to(tensor) + tensor.mean())
