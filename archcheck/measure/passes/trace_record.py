"""The data of a trace: the executed operations in their order, and the layers that were called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch

from archcheck.facts.operator_costs import Stated
from archcheck.foundation.source_place import Where
from archcheck.measure.passes.event import Event, takes_shape_alone
from archcheck.measure.passes.unobserved_values import Silence


@dataclass(slots=True)
class Visit:
    """The calls of a layer: the place of the first in their `order`, their number and shapes; `where` only if real."""

    order: int
    calls: int = 0
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """Numbers of the event `maker` that code took out of torch as a list or an array; `text` is their hash."""

    maker: int
    layer: str
    where: Where | None
    text: str


@dataclass
class Trace:
    """The record of one forward pass; `outputs` are the events of the model's outputs, `output_names` their names.

    `generated` are events that read only shapes and numbers of Python. `unowned` are parameters that an event reads and
    the model does not register, with the name of their holder. `trained` are the parameters that require gradients in
    the mode of the pass, before or after the pass. `values` are the numbers that events returned to Python, `handed`
    the lists and arrays. `chance` says that Python or NumPy drew random numbers. `costs` are the stated costs of
    unknown operators.
    """

    events: list[Event] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    output_tensors: tuple[tuple[tuple[int, ...], str], ...] = ()
    outputs: tuple[int, ...] = ()
    output_names: tuple[str, ...] = ()
    uncounted: set[str] = field(default_factory=set)
    bounds: set[str] = field(default_factory=set)
    trained: set[str] = field(default_factory=set)
    peak_bytes: int = 0
    real: bool = False
    training: bool = False
    silence: Silence | None = None
    foreign: list[Where | None] = field(default_factory=list)
    generated: set[int] = field(default_factory=set)
    unowned: dict[int, list[tuple[str, torch.Tensor]]] = field(default_factory=dict)
    captured: dict[int, torch.Tensor] = field(default_factory=dict)
    costs: Mapping[str, Stated] = field(default_factory=dict)
    values: dict[int, bool | int | float] = field(default_factory=dict)
    chance: bool = False
    handed: list[Handed] = field(default_factory=list)

    @cached_property
    def live(self) -> list[bool]:
        """Whether the result of each event reaches an output."""
        return self._are_in(self.leading_to(self.outputs))

    @cached_property
    def acting(self) -> list[bool]:
        """Whether the numbers of each result reach an output, and not only its shape.

        A value that code reads decides what runs or becomes a number of Python. It counts as reaching an output.
        """
        ends = (*self.outputs, *self.values, *(each.maker for each in self.handed))
        return self._are_in(self.leading_to(ends, numbers=True))

    def leading_to(self, ends: Iterable[int], *, numbers: bool = False) -> set[int]:
        """Return the events `ends` and all that lead to them; with `numbers`, only through numbers and not shapes."""
        pending = [index for index in ends if index >= 0]
        found = set(pending)
        while pending:
            event = self.events[pending.pop()]
            if not (numbers and takes_shape_alone(event)):
                more = set(event.inputs) - found
                found |= more
                pending += more
        return found

    def _are_in(self, found: set[int]) -> list[bool]:
        return [index in found for index in range(len(self.events))]

    @cached_property
    def readers(self) -> dict[int, list[Event]]:
        """The events that read the result of each event."""
        readers: dict[int, list[Event]] = {}
        for event in self.events:
            for index in event.inputs:
                readers.setdefault(index, []).append(event)
        return readers

    @cached_property
    def dependent(self) -> list[bool]:
        """Whether the result of each event depends on an input of the model."""
        return self._reached_by_inputs(numbers=False)

    @cached_property
    def fed(self) -> list[bool]:
        """Whether the numbers of each result, and not only its shape, depend on an input of the model."""
        return self._reached_by_inputs(numbers=True)

    def _reached_by_inputs(self, *, numbers: bool) -> list[bool]:
        reached: list[bool] = []
        for event in self.events:
            stops = numbers and takes_shape_alone(event)
            reached.append(event.told.kind == "input" or (not stops and any(reached[index] for index in event.inputs)))
        return reached
