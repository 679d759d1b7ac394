"""What a trace consists of: executed operations in their order, and the layers that were called."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from archcheck.measure.operators.answers import Answer
from archcheck.where import Where

if TYPE_CHECKING:
    from archcheck.measure.passes.silence import Silence


@dataclass(slots=True)
class Event:
    """One executed operation as the trace saw it; `told` is what it shares with all calls that look alike.

    `inputs` are the events whose results it reads, `operands` the event of each operand in the order of `roles`, -1
    for a parameter, and `names` what the model calls each, `""` for what is no parameter or buffer. `source` is set for
    tensors that come from outside of the pass.
    """

    index: int
    told: Answer
    layer: str
    inputs: tuple[int, ...]
    operands: tuple[int, ...]
    names: tuple[str, ...]
    params: tuple[str, ...]
    where: Where | None
    source: torch.Tensor | None = None
    name: str = ""

    @property
    def kind(self) -> str:
        """The canonical name of the operation."""
        return self.told.kind

    @property
    def op(self) -> str:
        """The name that torch gives the operation."""
        return self.told.op

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of its results."""
        return self.told.shapes

    @property
    def dtype(self) -> str | None:
        """The dtype of its first result."""
        return self.told.dtype

    @property
    def attributes(self) -> dict[str, Any]:
        """What a rule may want to know of it, as JSON values."""
        return self.told.attributes

    @property
    def roles(self) -> tuple[str, ...]:
        """The argument that each operand stands in."""
        return self.told.roles

    @property
    def macs(self) -> int:
        """Its multiply-accumulates, as far as they are known."""
        return self.told.macs or 0


@dataclass(slots=True)
class Visit:
    """How often, when first and with which shapes a layer was called."""

    order: int
    calls: int = 0
    inputs: tuple[tuple[int, ...], ...] = ()
    outputs: tuple[tuple[int, ...], ...] = ()


@dataclass
class Trace:
    """What one forward pass did; `outputs` are the events that made the model's outputs."""

    events: list[Event] = field(default_factory=list)
    visits: dict[str, Visit] = field(default_factory=dict)
    output_tensors: tuple[tuple[tuple[int, ...], str], ...] = ()
    outputs: tuple[int, ...] = ()
    uncounted: set[str] = field(default_factory=set)
    bounds: set[str] = field(default_factory=set)
    peak_bytes: int = 0
    real: bool = False
    silence: Silence | None = None
    foreign: list[Where | None] = field(default_factory=list)

    @cached_property
    def live(self) -> list[bool]:
        """Whether the result of each event reaches an output."""
        live = [False] * len(self.events)
        pending = [index for index in self.outputs if index >= 0]
        while pending:
            index = pending.pop()
            if not live[index]:
                live[index] = True
                pending += self.events[index].inputs
        return live

    @cached_property
    def readers(self) -> dict[int, list[Event]]:
        """Which events read the result of each."""
        readers: dict[int, list[Event]] = {}
        for event in self.events:
            for index in event.inputs:
                readers.setdefault(index, []).append(event)
        return readers

    @cached_property
    def dependent(self) -> list[bool]:
        """Whether the result of each event depends on an input of the model."""
        dependent: list[bool] = []
        for event in self.events:
            flag = event.told.kind == "input"
            for index in event.inputs:
                flag = flag or dependent[index]
            dependent.append(flag)
        return dependent
