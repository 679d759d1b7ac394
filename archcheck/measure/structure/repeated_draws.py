"""Finds numbers that each pass draws again and that never change: somebody may have chosen them.

A generator with its own seed gives the same numbers in every pass: they are as fixed as those of a weight. Numbers that
depend on the seed of the process are noise. A formula of shapes and a few numbers, such as a sinusoid, hardly changes
when those numbers change by a hundred thousandth. A generator that is written as a formula
(`sin(arange(n) * 12.9898) * 43758.5453 % 1`) then gives completely different numbers.
"""

from __future__ import annotations

from functools import partial

import torch

from archcheck.facts.records import MUCH
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.event import NOTHING_DRAWN, Event
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.chosen_integers import chosen_integers, met_by_others
from archcheck.measure.structure.distinct_numbers import numbers_in
from archcheck.measure.structure.external_numbers import ChosenNumbers, Place, draws_numbers, place_of
from archcheck.measure.structure.sensitivity import changes_completely
from archcheck.measure.structure.unfolded_parameters import unfolded

NUDGE = 1e-5
"""Share by which Python numbers are changed to see what depends on them."""


def chosen_numbers(passes: Passes, example: Example, trace: Trace) -> ChosenNumbers:
    """Return the draws of an evaluation pass that no seed changes, its generators, and other chosen numbers."""
    draws = any(trace.acting[event.index] and draws_numbers(event, trace) for event in trace.events)
    found = _repeated(passes, example, trace) if draws else frozenset()
    generated = frozenset(_generators(passes, example, trace))
    integers = tuple(chosen_integers(passes, example, trace))
    return ChosenNumbers(found, generated, integers, unfolded(passes, example, trace))


def _repeated(passes: Passes, example: Example, trace: Trace) -> frozenset[Place]:
    """Return the places whose draws are all the same with two seeds."""
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
    frontier = {index for index in met_by_others(trace, trace.generated) if _is_much(trace.events[index])}
    if not frontier:
        return set()
    integers = {index for index in trace.generated if _is_integer(trace.events[index])}
    plain = _captured(passes, example, frontier | integers, 0.0)
    suspects = {index for index in frontier if index in plain and numbers_in(plain[index]) > MUCH}
    nudged = _captured(passes, example, suspects, NUDGE) if suspects else {}
    return {
        index
        for index in suspects
        if (index in nudged and changes_completely(plain[index], nudged[index])) or _is_hashed(index, trace, plain)
    }


def _captured(passes: Passes, example: Example, wanted: set[int], nudge: float) -> dict[int, torch.Tensor]:
    """Return what some events give by shapes and numbers of Python alone, these larger by the share `nudge`."""
    tracer = passes.tried_by(partial(Tracer, wanted=wanted, nudge=nudge), example, real=False)
    return {} if tracer is None else tracer.trace.captured


def _is_hashed(index: int, trace: Trace, values: dict[int, torch.Tensor]) -> bool:
    """Whether the result of an event depends on integers that cannot be compressed."""
    made = ((trace.events[each], values[each]) for each in trace.leading_to([index]) if each in values)
    return any(_is_integer(event) and numbers_in(numbers) > MUCH for event, numbers in made)


def _is_much(event: Event) -> bool:
    return event.dtype != "bool" and event.elements > MUCH


def _is_integer(event: Event) -> bool:
    return (event.dtype or "").startswith(("int", "uint")) and _is_much(event)
