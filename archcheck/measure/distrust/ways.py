"""A second look along other ways through the code, where values decide what runs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from archcheck.errors import SubjectError
from archcheck.measure.distrust.others import varied
from archcheck.measure.distrust.paranoid import Look, Second
from archcheck.measure.distrust.sameness import signs
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.events import Trace
from archcheck.measure.passes.forward import Passes
from archcheck.measure.structure.graph import Graph
from archcheck.measure.structure.union import united

Way = tuple[Example, Trace]
"""A pass on an example that goes another way through the code than the first."""

_MOST = 4
"""Ways that are looked at in each mode."""


def ways_of(graphs: Sequence[Graph], examples: Sequence[Example]) -> list[Way]:
    """Return passes in each of which more reaches an output than in those before, with their inputs.

    There are none where all passes run the same.
    """
    union = united([each.ops for each in graphs])
    if not any(op.runs for op in union.ops):
        return []
    return [(examples[number], graphs[number].trace) for number in sorted(union.fresh)[:_MOST]]


def along(second: Second, passes: Passes, ways: tuple[Sequence[Way], Sequence[Way]], root: str) -> Second:
    """Return a second look that has been taken along other ways through the code, too, of each mode.

    An operation says nothing if it does so in each look that comes across it.
    """
    quiet = dict(second.quiet)
    for training, others in zip((False, True), ways, strict=True):
        if training not in quiet or not others:
            continue
        silent, loud = set(quiet[training]), set(second.followed.get(training, ())) - quiet[training]
        for example, trace in others:
            seeker, wanted = Look(passes, example, {False: trace, True: trace}, root), signs(trace).keys()
            for given in (example, varied(example)):
                with contextlib.suppress(SubjectError):  # as its first pass on the example did not
                    found = seeker.look_for_real(training, given)
                    silent |= found
                    loud |= seeker.followed - found
                if wanted <= seeker.followed:
                    break
        quiet[training] = frozenset(silent - loud)
    return replace(second, quiet=quiet)
