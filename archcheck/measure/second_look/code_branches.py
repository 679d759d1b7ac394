"""Repeats the second look on other branches of the code, if values decide what runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.second_look.marked_operations import Identities, SecondLook, WithoutEffect
from archcheck.measure.second_look.other_examples import varied
from archcheck.measure.second_look.pass_comparison import Identity, identities_of
from archcheck.measure.second_look.second_measurement import SecondMeasurement
from archcheck.measure.structure.graph import build
from archcheck.measure.structure.merged_passes import merged

Branch = tuple[Example, Trace]
"""An example and the trace of its pass, which takes another branch of the code than the first pass."""

_MOST = 4
"""Branches that are measured in each mode."""


def branches_of(traces: Sequence[Trace], examples: Sequence[Example], root: str) -> list[Branch]:
    """Return the passes in which more operations reach an output than in the passes before, with their inputs.

    The list is empty if all passes run the same operations.
    """
    if len(traces) < 2:
        return []
    graph = merged([build(trace, root).ops for trace in traces])
    adding = sorted(graph.adding)[:_MOST] if any(op.runs for op in graph.ops) else []
    return [(examples[number], traces[number]) for number in adding]


def follow_branches(second: SecondLook, passes: Passes, branches: Sequence[Sequence[Branch]], root: str) -> SecondLook:
    """Return the second look, repeated on other branches of each mode.

    An operation is without effect if no look that covers it sees an effect.
    """
    without_effect = dict(second.without_effect)
    for training, others in zip((False, True), branches, strict=True):
        if training not in without_effect or not others:
            continue
        looks = [(without_effect[training], second.covered.get(training, frozenset()))]
        for example, trace in others:
            look = SecondMeasurement(passes, example, {False: trace, True: trace}, root)
            wanted = identities_of(trace).keys()
            for given in (example, varied(example)):
                with contextlib.suppress(SubjectError):  # its first pass on the example did not fail
                    found = look.compare_on_real_numbers(training, given)
                    looks.append((found, look.covered))
                if wanted <= look.covered:
                    break
        without_effect[training] = WithoutEffect(*(_in_all(looks, sort) for sort in ("dead", "ineffective", "idle")))
    return replace(second, without_effect=without_effect)


def _in_all(looks: Sequence[tuple[WithoutEffect, Identities]], sort: str) -> Identities:
    """Return the operations that are without effect, in that sense, in each look that covers them."""
    found: list[tuple[Identities, Identities]] = [(getattr(each, sort), covered) for each, covered in looks]
    effective = frozenset[Identity]().union(*(covered - without for without, covered in found))
    return frozenset[Identity]().union(*(without for without, _ in found)) - effective
