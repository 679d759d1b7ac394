"""Counts integers that choose numbers: an element of a table, how many ones to add, which of the drawn numbers.

A tensor made without an input, from shapes, Python numbers and draws, counts as the few numbers of its formula. But
`linspace(0, 1, 256)[k]`, `ones(k).sum()` and `randn(4000)[k]` give any number for an integer `k`. So the integers of
such operations count, in the order in which a line uses them, if fewer numbers cannot describe the result.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from functools import partial

import torch

from archcheck.facts.records import MUCH
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.event import Event, takes_shape_alone
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.distinct_numbers import numbers_in, plain_values
from archcheck.measure.structure.numbers_used import Use, worth_of


def chosen_integers(passes: Passes, example: Example, trace: Trace) -> list[Use]:
    """Return the integers that choose numbers that are combined with an input, and the operation of each.

    The list is empty if there are few integers or few numbers.
    """
    parameters = {name for name, _ in passes.tree.parameters()}
    uses = _uses(trace, _frontier(trace, parameters))
    if worth_of(uses).numbers <= MUCH:
        return []
    tracer = passes.tried_by(Tracer, example)
    if tracer is None:
        return uses
    frontier = _frontier(tracer.trace, parameters)
    again = passes.tried_by(partial(Tracer, wanted=frozenset(frontier)), example)
    if again is None:
        return uses
    made = again.trace.captured
    if len(made) == len(frontier) and _numbers(made.values()) <= MUCH:
        return []
    return _uses(tracer.trace, frontier)


def _frontier(trace: Trace, parameters: Container[str]) -> list[int]:
    """Return the events that depend on neither an input nor a parameter, and are combined with one."""
    return sorted(met_by_others(trace, _free(trace, parameters)))


def met_by_others(trace: Trace, made: Container[int]) -> set[int]:
    """Return the events in `made` whose numbers an acting operation outside `made` reads."""
    return {
        index
        for event in trace.events
        if trace.acting[event.index] and event.index not in made and not takes_shape_alone(event)
        for index in event.inputs
        if index in made
    }


def _free(trace: Trace, parameters: Container[str]) -> set[int]:
    """Return the events that depend on neither an input nor a parameter."""
    free: set[int] = set()
    for event in trace.events:
        if event.kind == "input" or any(name in parameters for name in event.params):
            continue
        if takes_shape_alone(event) or all(operand in free for operand in event.inputs):
            free.add(event.index)
    return free


def _uses(trace: Trace, frontier: Iterable[int]) -> list[Use]:
    """Return the integers of the operations that lead to `frontier`, in order."""
    events = (trace.events[index] for index in sorted(trace.leading_to(frontier, numbers=True)))
    return [(number, event) for event in events for number in (*event.told.integers, *_places(event))]


def _places(event: Event) -> Iterator[complex]:
    """Yield how far back an operation of many operands finds each: the choice of operands may hold numbers, too.

    The distances are imaginary, so that they differ from all integers.
    """
    if len(event.operands) > MUCH:
        yield from (complex(0, event.index - operand) for operand in event.operands)


def _numbers(tensors: Iterable[torch.Tensor]) -> int:
    """Return how many numbers describe tensors; small tensors count together, by their different numbers."""
    few: dict[complex, None] = {}
    worth = 0
    for tensor in tensors:
        if tensor.numel() > MUCH:
            worth = max(worth, numbers_in(tensor))
        else:
            dense = tensor if tensor.layout is torch.strided else plain_values(tensor)
            few.update(dict.fromkeys([] if dense is None else dense.reshape(-1).tolist()))
    return max(worth, numbers_in(torch.tensor(list(few), dtype=torch.complex128, device="cpu")) if few else 0)
