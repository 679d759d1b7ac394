"""Adds up what a pass costs from the graph that it executes; of several passes, takes the largest."""

from __future__ import annotations

from collections.abc import Sequence

from archcheck.facts.activations import activations_of
from archcheck.facts.records import Cost, Op
from archcheck.measure.passes.trace_record import Trace


def cost_of(
    traces: Sequence[Trace], graphs: Sequence[Sequence[Op]], training: Sequence[Trace], steps: Sequence[int]
) -> Cost:
    """Return the cost of the passes in evaluation; `steps` are the multiply-accumulates of those in training."""
    return Cost(
        macs=max(sum(op.macs for op in ops) for ops in graphs),
        fvcore_flops=max(sum(op.flops for op in ops) for ops in graphs),
        peak_activation_bytes=max(trace.peak_bytes for trace in traces),
        activations=max(map(activations_of, graphs)),
        uncounted=tuple(sorted(set[str]().union(*(trace.uncounted for trace in traces)))),
        bounds=tuple(sorted(set[str]().union(*(trace.bounds for trace in traces)))),
        training_macs=max(steps, default=None),
        training_uncounted=tuple(sorted(set[str]().union(*(trace.uncounted for trace in training)))),
    )
