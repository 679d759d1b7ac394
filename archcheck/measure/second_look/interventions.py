"""Finds operations without effect although data flows from them to an output: layers, norms, dropouts, poolings.

An operation takes effect when the outputs change as its null operation takes its place, by more than they change
from one pass to the next of the same numbers. It may be cut off by an index (`cat([x, dropout(x)])[:n]`), lose to a
larger number (`maximum(x, dropout(x) - 1e9)`), be next to nothing (`x + 1e-6 * norm(x)`), be taken out again by what
follows (another normalisation, a `where`), or do nothing at all (a normalisation by the numbers 0 and 1).

One backward pass asks how far the outputs would go towards all nulls at once. Where that is far, the operation takes
effect; the others are replaced, each in a pass of its own. An operation is without effect if that is so in pass after
pass on other numbers, for a pass may leave out what the next one does not (a branch that is dropped at random, an
expert that gets no sample), and with other parameters, too: a gate may begin closed. What is rounded, compared or
sorted has no derivative: larger numbers in its place show what it does. A dropout draws again in each pass, or it is
none. Parameters that begin at zero are moved meanwhile, and statistics that have not seen any data. Where no output
can be differentiated, all is taken to have effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.second_look.operation_calls import PARAMETER, Place, Places
from archcheck.measure.second_look.replacements import PASSES, Runs, Statistics

OTHER_PARAMETERS = 4
"""Sets of other parameters with which something has to be without effect, too."""


class Without(NamedTuple):
    """The places of operations that no output feels, and of rectifiers that have nothing to rectify."""

    effect: Places = frozenset()
    work: Places = frozenset()


def unfelt(
    passes: Passes,
    example: Example,
    other: Callable[[int], Example],
    places: Places,
    *,
    training: bool,
    allowed: int,
    statistics: Statistics,
) -> Without:
    """Return the places of a model whose operations are without effect in any call.

    `other` makes examples of other numbers, by a seed above 0. `allowed` are the passes in which something is replaced:
    an estimate is enough for dropouts where they are too many, and what is left when they are spent counts as felt.
    `statistics` are those that are as they begin, with what a pass in evaluation, the first, makes of them.
    """
    run = Runs(passes, places, training, allowed, statistics)
    if not training:
        statistics += run.calibrated(example)
    felt: set[Place] = set()
    for seed in range(PASSES + OTHER_PARAMETERS):
        run.other_parameters = max(0, seed - PASSES + 1)
        left = _without_parameters(places - felt) if run.other_parameters else places - felt
        if not left - run.idle:
            break
        given = other(seed) if seed else example
        clear = run.clear(given, seed)
        if clear is None and not seed:
            return Without()
        felt |= clear or set()
        if left := left - felt - run.idle:
            felt |= run.moved(left, given, seed)
    return Without((run.replaced - felt) | run.always_the_same(example), _without_work(run, other))


def _without_parameters(places: Places) -> Places:
    """Return the places but for parameters, which are replaced themselves."""
    return frozenset(place for place in places if place[0] != PARAMETER)


def _without_work(run: Runs, other: Callable[[int], Example]) -> Places:
    """Return the rectifiers that are given nothing negative, whatever the input and the parameters."""
    for seed in range(2 * OTHER_PARAMETERS):
        if not run.idle or run.is_spent:
            break
        run.other_parameters = max(0, seed - OTHER_PARAMETERS + 1)
        run.look_at_rectifiers(other(seed + 1), seed)
    return frozenset() if run.is_spent else run.idle
