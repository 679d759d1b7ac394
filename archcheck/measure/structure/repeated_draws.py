"""Finds numbers that each pass draws again and that are always the same: somebody may have chosen them.

A generator with a seed of its own gives in every pass what it gave before: numbers that stay like those of a weight.
What differs with the seed of the process is noise. A formula of shapes and a few numbers, such as a sinusoid, hardly
changes when those numbers change by a hundred thousandth; a generator that is written as a formula
(`sin(arange(n) * 12.9898) * 43758.5453 % 1`) gives altogether others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch

from archcheck.facts.records import MUCH
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.event import NOTHING_DRAWN, Event, takes_shape_alone
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.account import Place, draws_numbers, place_of
from archcheck.measure.structure.chosen_integers import chosen_integers
from archcheck.measure.structure.distinct_numbers import numbers_in
from archcheck.measure.structure.numbers_used import Use
from archcheck.measure.structure.sensitivity import is_apart
from archcheck.measure.structure.unfolded_parameters import unfolded

NUDGE = 1e-5
"""The share by which numbers of Python change to show what hangs on them."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a pass makes itself and may have been chosen.

    These are the places of `draws`, the events that are `generated`, the `integers` that choose among numbers, and how
    many numbers of parameters are `unfolded`.
    """

    draws: frozenset[Place] = frozenset()
    generated: frozenset[int] = frozenset()
    integers: tuple[Use, ...] = ()
    unfolded: Mapping[str, int] = field(default_factory=dict)


NOTHING = Chosen()


def chosen(passes: Passes, example: Example, trace: Trace) -> Chosen:
    """Look for draws that no seed changes and for formulas that are generators in an evaluation pass."""
    draws = any(trace.acting[event.index] and draws_numbers(event, trace) for event in trace.events)
    found = _repeated(passes, example, trace) if draws else frozenset()
    generated = frozenset(_generators(passes, example, trace))
    integers = tuple(chosen_integers(passes, example, trace))
    return Chosen(found, generated, integers, unfolded(passes, example, trace))


def _repeated(passes: Passes, example: Example, trace: Trace) -> frozenset[Place]:
    """Return the places of all of whose draws two seeds give the same."""
    if not passes.affords(trace):
        return frozenset()
    drawn: list[dict[Place, list[bytes | None]]] = []
    for seed in (1, 2):
        tracer = passes.tried_by(Tracer, example, seed=seed)
        if tracer is None:
            return frozenset()
        by_place: dict[Place, list[bytes | None]] = {}
        for event in tracer.trace.events:
            if draws_numbers(event, tracer.trace) and event.drawn != NOTHING_DRAWN:
                by_place.setdefault(place_of(event), []).append(event.drawn)
        drawn.append(by_place)
    first, second = drawn
    return frozenset(place for place, given in first.items() if second.get(place) == given)


def _generators(passes: Passes, example: Example, trace: Trace) -> set[int]:
    if trace.real:
        return set()
    frontier = {
        index
        for event in trace.events
        if trace.acting[event.index] and event.index not in trace.generated and not takes_shape_alone(event)
        for index in event.inputs
        if index in trace.generated and _is_much(trace.events[index])
    }
    if not frontier:
        return set()
    integers = {index for index in trace.generated if _is_integer(trace.events[index])}
    plain = _captured(passes, example, frontier | integers, 0.0)
    suspects = {index for index in frontier if index in plain and numbers_in(plain[index]) > MUCH}
    nudged = _captured(passes, example, suspects, NUDGE) if suspects else {}
    return {
        index
        for index in suspects
        if (index in nudged and is_apart(plain[index], nudged[index])) or _is_hashed(index, trace, plain)
    }


def _captured(passes: Passes, example: Example, wanted: set[int], nudge: float) -> dict[int, torch.Tensor]:
    """Return what some events give by shapes and numbers of Python alone, these larger by the share `nudge`."""
    tracer = passes.tried_by(partial(Tracer, wanted=wanted, nudge=nudge), example, real=False)
    return {} if tracer is None else tracer.trace.captured


def _is_hashed(index: int, trace: Trace, values: dict[int, torch.Tensor]) -> bool:
    """Whether integers that nothing but themselves describes go into what an event makes."""
    made = ((trace.events[each], values[each]) for each in trace.leading_to([index]) if each in values)
    return any(_is_integer(event) and numbers_in(numbers) > MUCH for event, numbers in made)


def _is_much(event: Event) -> bool:
    return event.dtype != "bool" and event.elements > MUCH


def _is_integer(event: Event) -> bool:
    return (event.dtype or "").startswith(("int", "uint")) and _is_much(event)
