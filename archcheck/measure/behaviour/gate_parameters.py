"""Finds parameters that decide what runs: the gate of a router whose choice code reads, the threshold of an exit.

No data flows from them to an output. They are used if other numbers in them change the outputs, on the same input and
with the same random draws. A parameter that code only reads, such as in an assertion, is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cache, partial

import torch

from archcheck.measure.behaviour.closeness import farthest
from archcheck.measure.behaviour.example_variants import noise
from archcheck.measure.behaviour.probe_context import Outputs, ProbeContext
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import led_to_reads
from archcheck.measure.shapes.noise import normal

_DRAWS = 9
"""Sets of random numbers that a parameter gets in each mode, each with both signs."""
_SCALES = (1.0, 10.0, 100.0)
"""Scales of these numbers, relative to the numbers of the parameter."""
_DIFFERENT = 1e-4
"""Least relative difference of outputs that count as different."""


def deciding_parameters(context: ProbeContext, traces: Iterable[Trace], names: Collection[str]) -> frozenset[str]:
    """Return the parameters among `names` that change the outputs through values that code reads.

    Parameters for which no time is left are returned, too, because nothing shows that they are unused.
    """
    if not context.passes.affords(context.trace):
        return frozenset()
    traces = list(traces)
    read = {name for trace in traces for index in led_to_reads(trace) for name in trace.events[index].params}
    modes = sorted({trace.training for trace in traces})
    tensors = {name: tensor for name, tensor in context.tree.parameters() if name in read and name in names}
    left = int(AFFORDABLE / context.macs)
    tries = [(seed, modes[seed % len(modes)]) for seed in range(_DRAWS * len(modes))]
    plain = cache(partial(_outputs, context, change=None))
    found = set()
    for name, tensor in tensors.items():
        left -= 3 * len(tries)
        if left < 0 or any(_differs(context, plain(*each), each, tensor) for each in tries):
            found.add(name)
    return frozenset(found)


def _differs(context: ProbeContext, before: Outputs | None, way: tuple[int, bool], tensor: torch.Tensor) -> bool:
    """Whether other numbers in a parameter, or their negatives, change the outputs."""
    seed, training = way
    for sign in (1, -1) if before is not None else ():
        after = _outputs(context, seed, training, change=partial(tensor.copy_, sign * _others(tensor, seed)))
        apart = 0.0 if before is None or after is None else farthest(before, after)[1]
        if apart is None or apart > _DIFFERENT:
            return True
    return False


def _outputs(context: ProbeContext, seed: int, training: bool, change: Callable[[], object] | None) -> Outputs | None:
    """Return the outputs of a pass after a change of the model, `None` if the subject refuses the numbers."""
    with suppress(Exception), torch.no_grad(), context.passes.untouched(values=True):
        if change is not None:
            change()
        given = context.example.in_mode(training)
        example = noise(given, seed) if seed % 4 > 1 else given
        outputs = context.call(example, training=training, seed=seed)
        return {name: output.clone() for name, output in outputs.items()}
    return None


def _others(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Return random numbers of the parameter's scale or larger: a threshold may be far away."""
    size = float(tensor.double().square().mean().sqrt()) or 1.0
    return (normal(tensor.shape, torch.Generator().manual_seed(seed)) * _SCALES[seed % len(_SCALES)] * size).to(tensor)
