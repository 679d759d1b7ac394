"""Takes the second look along other branches of the code, where values decide what runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from archcheck.foundation.errors import SubjectError
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.second_look.other_examples import varied
from archcheck.measure.second_look.pass_comparison import Sign, signs
from archcheck.measure.second_look.suspicions import Look
from archcheck.measure.second_look.without_effect import Second, Signs, Silent
from archcheck.measure.structure.graph import build
from archcheck.measure.structure.merged_passes import united

Way = tuple[Example, Trace]
"""A pass on an example that goes another way through the code than the first."""

_MOST = 4
"""Ways that are looked at in each mode."""


def ways_of(traces: Sequence[Trace], examples: Sequence[Example], root: str) -> list[Way]:
    """Return passes in each of which more reaches an output than in those before, with their inputs.

    There are none where all passes run the same.
    """
    if len(traces) < 2:
        return []
    union = united([build(trace, root).ops for trace in traces])
    fresh = sorted(union.fresh)[:_MOST] if any(op.runs for op in union.ops) else []
    return [(examples[number], traces[number]) for number in fresh]


def along(second: Second, passes: Passes, ways: Sequence[Sequence[Way]], root: str) -> Second:
    """Return a second look that has been taken along other ways through the code, too, of each mode.

    An operation says nothing if it does so in each look that comes across it.
    """
    silent = dict(second.silent)
    for training, others in zip((False, True), ways, strict=True):
        if training not in silent or not others:
            continue
        looks = [(silent[training], second.followed.get(training, frozenset()))]
        for example, trace in others:
            seeker, wanted = Look(passes, example, {False: trace, True: trace}, root), signs(trace).keys()
            for given in (example, varied(example)):
                with contextlib.suppress(SubjectError):  # as its first pass on the example did not
                    found = seeker.look_for_real(training, given)
                    looks.append((found, seeker.followed))
                if wanted <= seeker.followed:
                    break
        silent[training] = Silent(*(_in_all(looks, sort) for sort in ("quiet", "unfelt", "idle")))
    return replace(second, silent=silent)


def _in_all(looks: Sequence[tuple[Silent, Signs]], sort: str) -> Signs:
    """Return what says nothing in that sense in each look that came across it."""
    found: list[tuple[Signs, Signs]] = [(getattr(silent, sort), followed) for silent, followed in looks]
    loud = frozenset[Sign]().union(*(followed - silent for silent, followed in found))
    return frozenset[Sign]().union(*(silent for silent, _ in found)) - loud
