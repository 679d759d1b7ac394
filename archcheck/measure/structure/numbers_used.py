"""Counts the Python numbers that a pass uses: how many differ, and what the order of their use may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch

from archcheck.facts.records import MUCH, NUMBER_BYTES
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.distinct_numbers import TRIVIAL, Size, numbers_in, sequence_worth, width_of

Use = tuple[complex, Event]
"""A number, and the operation that gets it."""
_REGULAR = 8
"""Numbers that describe an order that counts up or repeats."""


def worth_of(uses: Sequence[Use]) -> Size:
    """Return how many numbers, in how many bytes, describe what each operation is given.

    These are the different numbers and their order, or the numbers of each line in turn.
    """
    lines = _by_line(uses).values()
    values = list(dict.fromkeys(number for number, _ in uses))
    places = {number: place for place, number in enumerate(values)}
    chosen = [value for value in values if value not in TRIVIAL]
    order = sum(sequence_worth([places[number] for number in given]) for given in lines)
    numbers = _different(chosen) + (order if order > _REGULAR else 0)
    if numbers > MUCH:
        numbers = min(numbers, sum(map(_told_in_turn, lines)))
    return Size(numbers, sum(map(width_of, chosen)) if numbers == len(chosen) else numbers * NUMBER_BYTES)


def _told_in_turn(numbers: Sequence[complex]) -> int:
    wide = torch.tensor(numbers, dtype=torch.complex128, device="cpu")
    parts = [part for part in (wide.real, wide.imag) if bool(part.any())]
    return sum(numbers_in(part.long() if bool((part == part.round()).all()) else part) for part in parts)


def with_new_numbers(traces: Sequence[Trace]) -> set[int]:
    """Return the indices of the passes that use Python numbers that no pass before them uses."""
    known, found = set[complex](), set[int]()
    for place, trace in enumerate(traces):
        numbers = {number for event in trace.events for number in event.told.numbers}
        if not (trace.chance or numbers <= known):
            found.add(place)
        known |= numbers
    return found


def most_used(uses: Sequence[Use]) -> Event:
    """Return an operation of the line that uses the most numbers."""
    chosen = [use for use in uses if use[0] not in TRIVIAL] or uses
    lines = Counter((event.op, event.where) for _, event in chosen)
    return max(chosen, key=lambda use: lines[use[1].op, use[1].where])[1]


def _by_line(uses: Sequence[Use]) -> dict[object, list[complex]]:
    """Return the numbers that each argument of the operations of a line gets in turn."""
    lines: dict[object, list[complex]] = {}
    before, argument = None, 0
    for number, event in uses:
        argument = argument + 1 if event is before else 0
        before = event
        lines.setdefault((event.op, event.where, argument if argument < MUCH else MUCH), []).append(number)
    return lines


def _different(values: Sequence[complex]) -> int:
    """Return how many numbers describe these values; among many, a run of integers counts as one."""
    if len(values) <= MUCH:
        return len(values)
    whole = sorted(value for value in values if isinstance(value, int))
    runs = sum(value - 1 != before for before, value in zip([None, *whole], whole, strict=False))
    rest = [part for value in values if not isinstance(value, int) for part in (value.real, value.imag)]
    rest = [part for part in rest if part]
    if len(rest) > MUCH:
        return runs + numbers_in(torch.tensor(rest, dtype=torch.float64, device="cpu"))
    return runs + len(rest)
