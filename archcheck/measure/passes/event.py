"""One executed operation, as a trace holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.operators.operator_results import Answer
from archcheck.measure.operators.vocabulary import base_name

NOTHING_DRAWN = b""


@dataclass(slots=True)
class Event:
    """One executed operation as the trace saw it; `told` is what it shares with all calls that look alike.

    `inputs` are the events whose results it reads, `operands` the event of each operand in the order of `roles`, -1
    for a parameter, and `names` what the model calls each, `""` for what is no parameter or buffer. `source` is set for
    tensors that come from outside of the pass. `drawn` is what an operation with a generator gave, on real numbers;
    `NOTHING_DRAWN` where it left the generator alone, as attention does without dropout. With `no_grad` the subject has
    switched gradients off.
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
    drawn: bytes | None = None
    no_grad: bool = False

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
    def elements(self) -> int:
        """How many its first result has."""
        return torch.Size(self.shapes[0]).numel() if self.shapes else 0

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


_OVERWRITES = frozenset({"zero", "fill", "normal", "uniform", "bernoulli", "random", "exponential", "cauchy",
                         "log_normal", "geometric"})  # fmt: skip


def takes_shape_alone(event: Event) -> bool:
    """Whether an operation reads the shape of its operands and none of their numbers."""
    name = base_name(event.op)
    return name.endswith("_like") or name.startswith("new_") or (event.op.endswith("_") and name in _OVERWRITES)


_SHAPED_LIKE = frozenset({"view_as", "reshape_as", "expand_as", "type_as"})


def takes_shape_of_other(op: str) -> bool:
    """Whether an operation reads the numbers of its first operand, and of the second its shape or dtype alone."""
    return base_name(op) in _SHAPED_LIKE
