"""Adds up what a pass costs from the graph that it executes; of several passes, takes the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archcheck.facts.activations import activations_of
from archcheck.facts.records import Cost
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.merged_passes import MergedPasses, PassOps


def cost_of(
    traces: Sequence[Trace],
    graphs: PassOps,
    in_training: Sequence[Trace],
    training: MergedPasses,
    backward: Sequence[Mapping[int, int]],
) -> Cost:
    """Return the cost of the passes in evaluation, with these `graphs`, and of those in training.

    `backward` are the multiply-accumulates of the gradients in each pass in training, by the index of the operation.
    """
    steps = [
        sum(op.macs for op in ops) + sum(each.values()) for ops, each in zip(training.passes, backward, strict=True)
    ]
    places = [
        {place[index]: macs for index, macs in each.items()}
        for place, each in zip(training.places, backward, strict=True)
    ]
    return Cost(
        macs=max(sum(op.macs for op in ops) for ops in graphs),
        fvcore_flops=max(sum(op.flops for op in ops) for ops in graphs),
        peak_activation_bytes=max(trace.peak_bytes for trace in traces),
        activations=max(map(activations_of, graphs)),
        uncounted=tuple(sorted(set[str]().union(*(trace.uncounted for trace in traces)))),
        bounds=tuple(sorted(set[str]().union(*(trace.bounds for trace in traces)))),
        training_macs=max(steps, default=None),
        training_uncounted=tuple(sorted(set[str]().union(*(trace.uncounted for trace in in_training)))),
        backward=tuple(tuple(sorted(each.items())) for each in places),
    )
