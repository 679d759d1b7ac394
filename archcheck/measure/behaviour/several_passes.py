"""Takes several real passes if values decide what runs: on varied inputs, each with other random draws.

One pass shows one path through the code. The example is followed by zeros, by its negatives, by its samples in another
order, and by noise of several scales. Tokens stay within the range of the example. A layer that ran in no pass may need
a larger batch or trained parameters, like an expert that an untrained router never chooses. Further passes on those
settle it; they belong to no graph.
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
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.training_batches import BatchRefused, on_batch
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.forward_errors import inputs_of
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import may_differ, reads
from archcheck.measure.shapes.noise import normal
from archcheck.measure.subject.module_tree import Tree

PASSES = 16
"""Passes in each mode if values decide. A layer that runs in none of them hardly ever runs."""
_ALIKE = 4
"""Identical passes that are enough if no code was seen to read a value."""
_ALLOWANCE = 5 * AFFORDABLE
"""Most multiply-accumulates of all passes of a mode: about five seconds on one core."""
_STEP = 2_000_000
"""Multiply-accumulates that take as long as tracing one operation."""
_SAMPLES = 16
"""Samples of the larger batch, for layers that only some samples reach."""
_SCALES = (1.0, 3.0, 10.0)
"""Factors of random parameters: larger ones make the choice of a router or an exit clearer."""


@dataclass(frozen=True, slots=True)
class Several:
    """The passes of each mode, the first on the example; `decided` says that values may decide what runs.

    `examples` are the inputs of the passes of both modes, `changed` the positions of the inputs with other numbers.
    `few` says that more passes were needed than were affordable. `unmeasured` says why there is no pass in training, if
    the first one failed on real numbers.
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
        """Return the passes with these numbers, the first pass of each mode before the others."""
        modes = ((self.evaluation, sorted(evaluation)), (self.training, sorted(training)))
        chosen = [[traces[number] for number in numbers if number < len(traces)] for traces, numbers in modes]
        return tuple(trace for part in (slice(1), slice(1, None)) for traces in chosen for trace in traces[part])

    @property
    def traces(self) -> tuple[Trace, ...]:
        """All of them."""
        return self.evaluation + self.training


def several(context: ProbeContext, training: Trace | None) -> Several:
    """Return the passes of both modes: one each if values decide nothing, or if more are not affordable.

    Raises:
        SubjectError: the example cannot be run in evaluation on real numbers.
    """
    given = [trace for trace in (context.trace, training) if trace is not None]
    changed = _changed(context) if any(map(may_differ, given)) else frozenset[int]()
    inputs, evaluation = _passes(context, context.trace, changed, training=False)
    train_inputs, trained, unmeasured = list[Example](), list[Trace](), tuple[str, ...]()
    if training is not None:
        try:
            own = context.in_mode(True)
            if own is not context and may_differ(training):
                changed |= _changed(own)
            train_inputs, trained = _passes(own, training, changed, training=True)
        except SubjectError as error:
            given, unmeasured = [context.trace], (f"training mode: {error}",)
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
    context: ProbeContext, first: Trace, changed: frozenset[int], *, training: bool
) -> tuple[list[Example], list[Trace]]:
    """Return the inputs and the passes of a mode."""
    passes = context.passes
    if not may_differ(first, changed) or not passes.affords(first):
        return [context.example], [first]
    run = partial(passes.trace, training=training, real=True)
    examples, traces = [context.example], [first if first.real else run(context.example)]
    cost = sum(event.macs for event in traces[0].events) + _STEP * len(traces[0].events)
    count = min(PASSES, 1 + _ALLOWANCE // max(1, cost))
    draws = traces[0].chance or any(event.told.draws for event in traces[0].events)
    certain = traces[0].chance or bool(reads(traces[0], changed))
    for seed, example in enumerate(_others(context) if changed else [context.example] * (PASSES - 1) * draws, 1):
        if len(traces) >= count or (len(traces) == _ALIKE and not certain and _are_alike(traces)):
            break
        with suppress(SubjectError):  # the subject may refuse these numbers
            traces.append(run(example, seed=seed))
            examples.append(example)
    return examples, traces


def _changed(context: ProbeContext) -> frozenset[int]:
    """Return the positions of the inputs that can get other numbers; without memory, all of them."""
    given = inputs_of(context.example)
    if context.passes.on_meta:
        return frozenset(range(len(given)))
    try:
        other = noise(context.example, 1)
    except Exception:  # torch has no random numbers for some kinds of tensors
        return frozenset()
    pairs = zip(given, inputs_of(other), strict=True)
    return frozenset(place for place, (tensor, changed) in enumerate(pairs) if tensor is not changed)


def _others(context: ProbeContext) -> Iterator[Example]:
    """Yield examples with other numbers, the simple ones first."""
    example = context.example
    yield zeros(example)
    yield example.mapped(negated)
    yield from _reordered(context)
    factors = (1.0, 1.0, 4.0, 0.01, 100.0, 1.0, 10.0)
    for seed in range(1, 2 * PASSES):
        other, factor = noise(example, seed), factors[seed % len(factors)]
        yield other.mapped(partial(centred, factor=factor)) if seed % 2 or factor != 1 else other


def _reordered(context: ProbeContext) -> Iterator[Example]:
    """Yield the example with its samples in reverse order, and with its first sample repeated."""
    with suppress(Exception):  # torch cannot index some kinds of tensors
        batch = batch_of(context)
        if batch is not None and batch.count > 1:
            yield batch.picked(range(batch.count - 1, -1, -1))
            yield batch.picked([0] * batch.count)


def _are_alike(traces: Sequence[Trace]) -> bool:
    looks = [[(event.op, event.layer, event.where, event.shapes) for event in trace.events] for trace in traces]
    return all(look == looks[0] for look in looks)


def further(context: ProbeContext, training: bool) -> Iterator[Trace]:
    """Yield passes on larger batches and with other parameters, which may run what no other pass ran."""
    left, context = _ALLOWANCE // 2, context.in_mode(training)
    for seed in range(1, 2 * PASSES + 1):
        if left <= 0:
            break
        prepare = partial(_scatter, context.passes.tree, seed) if seed % 2 else None
        step = partial(_pass, context, seed, training, prepare)
        with suppress(Exception):  # the subject may refuse the numbers, or no axis of samples is known
            trace = on_batch(context, _SAMPLES, AFFORDABLE, seed, step)
            left -= sum(event.macs for event in trace.events) + _STEP * len(trace.events)
            yield trace


def _pass(
    context: ProbeContext, seed: int, training: bool, prepare: Callable[[], None] | None, example: Example, samples: int
) -> Trace:
    """Trace on other numbers, for half of the seeds with a larger scale."""
    example = example.mapped(partial(centred, factor=seed**2)) if seed % 4 > 1 else example
    try:
        return context.passes.trace(example, training=training, real=True, seed=seed, prepare=prepare)
    except SubjectError as error:
        raise BatchRefused(error.kind, str(error)) from error


def _scatter(tree: Tree, seed: int) -> None:
    """Replace every trainable parameter by random numbers with its mean and a multiple of its deviation."""
    generator = torch.Generator().manual_seed(seed)
    factor = _SCALES[seed % len(_SCALES)]
    with torch.no_grad():
        for _, tensor in tree.parameters():
            if tensor.requires_grad and tensor.is_floating_point() and tensor.numel():
                spread = float(tensor.std()) if tensor.numel() > 1 else 0.0
                spread = factor * (spread or float(tensor.abs().mean()) or 1.0)
                tensor.copy_((normal(tensor.shape, generator) * spread).to(tensor) + tensor.mean())
