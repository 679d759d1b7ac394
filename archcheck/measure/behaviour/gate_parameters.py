"""Parameters that decide what runs: the gate of a router whose choice code reads, an exit by a threshold.

No data flows from them to an output. They are used all the same where the outputs are others as soon as they hold other
numbers, on the same input and with the same draws. What is only looked at, such as by an assertion, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cache, partial

import torch

from archcheck.measure.behaviour.closeness import farthest
from archcheck.measure.behaviour.example_variants import noise
from archcheck.measure.behaviour.probe_context import Bench, Outputs
from archcheck.measure.passes.forward import AFFORDABLE
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.passes.value_dependence import led_to_reads
from archcheck.measure.shapes.noise import normal

_DRAWS = 9
"""Sets of other numbers for a parameter in each mode, each with both signs."""
_SCALES = (1.0, 10.0, 100.0)
"""How far they are spread, beside those of the parameter."""
_DIFFERENT = 1e-4
"""Share of the largest number by which outputs have to differ."""


def deciding_parameters(bench: Bench, traces: Iterable[Trace], names: Collection[str]) -> frozenset[str]:
    """Return those of the parameters `names` that change the outputs by what code reads of them.

    Those for which no time is left count, as nobody can call them unused.
    """
    if not bench.passes.affords(bench.trace):
        return frozenset()
    traces = list(traces)
    read = {name for trace in traces for index in led_to_reads(trace) for name in trace.events[index].params}
    modes = sorted({trace.training for trace in traces})
    tensors = {name: tensor for name, tensor in bench.tree.parameters() if name in read and name in names}
    left = int(AFFORDABLE / bench.macs)
    tries = [(seed, modes[seed % len(modes)]) for seed in range(_DRAWS * len(modes))]
    plain = cache(partial(_outputs, bench, change=None))
    found = set()
    for name, tensor in tensors.items():
        left -= 3 * len(tries)
        if left < 0 or any(_differs(bench, plain(*each), each, tensor) for each in tries):
            found.add(name)
    return frozenset(found)


def _differs(bench: Bench, before: Outputs | None, way: tuple[int, bool], tensor: torch.Tensor) -> bool:
    """Whether other numbers of a parameter, or those with the other sign, make other outputs."""
    seed, training = way
    for sign in (1, -1) if before is not None else ():
        after = _outputs(bench, seed, training, change=partial(tensor.copy_, sign * _others(tensor, seed)))
        apart = 0.0 if before is None or after is None else farthest(before, after)[1]
        if apart is None or apart > _DIFFERENT:
            return True
    return False


def _outputs(bench: Bench, seed: int, training: bool, change: Callable[[], object] | None) -> Outputs | None:
    """Return the outputs of a pass after a change of the model, `None` where it fails."""
    # Whatever the subject raises on numbers that nobody promised it is no output.
    with suppress(Exception), torch.no_grad(), bench.passes.untouched(values=True):
        if change is not None:
            change()
        example = noise(bench.example, seed) if seed % 4 > 1 else bench.example
        outputs = bench.call(example, training=training, seed=seed)
        return {name: output.clone() for name, output in outputs.items()}
    return None


def _others(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Return numbers of the parameter's size or larger: a threshold may be far off."""
    size = float(tensor.double().square().mean().sqrt()) or 1.0
    return (normal(tensor.shape, torch.Generator().manual_seed(seed)) * _SCALES[seed % len(_SCALES)] * size).to(tensor)
