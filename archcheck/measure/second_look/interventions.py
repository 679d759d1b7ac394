"""Finds operations without effect although data flows from them to an output: layers, norms, dropouts, poolings.

An operation takes effect if the outputs change when its null operation replaces it, by more than they change from one
pass to the next on the same numbers. Its result may be cut off by an index (`cat([x, dropout(x)])[:n]`), lose to a
larger number (`maximum(x, dropout(x) - 1e9)`), be next to nothing (`x + 1e-6 * norm(x)`), be undone by a later
operation (another normalisation, a `where`), or change nothing at all (a normalisation by the numbers 0 and 1).

One backward pass estimates how far all nulls together would move the outputs. Where that is far, the operation takes
effect. Each of the others is replaced in a pass of its own. An operation is without effect if this holds in pass after
pass on other numbers, because a pass may leave out what the next one uses (a branch that is dropped at random, an
expert that gets no sample). It must hold with other parameters, too: a gate may start closed. What is rounded, compared
or sorted has no gradient: larger numbers in its place show its effect. A dropout must draw again in each pass.
Meanwhile, parameters that begin at zero are moved, and so are statistics that have not seen any data. Where no output
can be differentiated, everything counts as effective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.second_look.operation_calls import PARAMETER, Place, Places
from archcheck.measure.second_look.replacements import PASSES, Runs, Statistics

OTHER_PARAMETERS = 4
"""Sets of other parameters with which an operation must be without effect, too."""


class Without(NamedTuple):
    """The places of operations whose effect no output shows, and of rectifiers that have nothing to rectify."""

    effect: Places = frozenset()
    work: Places = frozenset()


def ineffective(
    passes: Passes,
    example: Example,
    other: Callable[[int], Example],
    places: Places,
    *,
    training: bool,
    allowed: int,
    statistics: Statistics,
) -> Without:
    """Return the places of a model whose operations are without effect in every call.

    `other` makes examples of other numbers from a seed above 0. `allowed` is the number of passes that may replace an
    operation: dropouts that are too many for it are only estimated, and what is left when it is spent counts as
    effective. `statistics` are those with their initial values, each with the values that the first pass, in
    evaluation, gives it.
    """
    run = Runs(passes, places, training, allowed, statistics)
    if not training:
        statistics += run.calibrated(example)
    effective: set[Place] = set()
    for seed in range(PASSES + OTHER_PARAMETERS):
        run.other_parameters = max(0, seed - PASSES + 1)
        left = _without_parameters(places - effective) if run.other_parameters else places - effective
        if not left - run.idle:
            break
        given = other(seed) if seed else example
        clear = run.clearly_effective(given, seed)
        if clear is None and not seed:
            return Without()
        effective |= clear or set()
        if left := left - effective - run.idle:
            effective |= run.effective_when_replaced(left, given, seed)
    return Without((run.replaced - effective) | run.fixed_dropouts(example), _without_work(run, other))


def _without_parameters(places: Places) -> Places:
    """Return the places without parameters, which other parameters replace anyway."""
    return frozenset(place for place in places if place[0] != PARAMETER)


def _without_work(run: Runs, other: Callable[[int], Example]) -> Places:
    """Return the rectifiers that get nothing negative, whatever the input and the parameters are."""
    for seed in range(2 * OTHER_PARAMETERS):
        if not run.idle or run.is_spent:
            break
        run.other_parameters = max(0, seed - OTHER_PARAMETERS + 1)
        run.note_rectifiers(other(seed + 1), seed)
    return frozenset() if run.is_spent else run.idle
