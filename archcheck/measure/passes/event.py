"""One executed operation in a trace."""

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
    """One executed operation; it shares `told` with all calls that have the same signature.

    `inputs` are the events whose results it reads. `operands` has the event of each operand in the order of `roles`, -1
    for a parameter; `names` has the name of each in the model, `""` for a tensor that is no parameter or buffer.
    `source` is a tensor from outside of the pass. `drawn` holds the bytes that an operation with a generator returned
    in a real pass, or `NOTHING_DRAWN` if it left the generator alone, as attention does without dropout. `no_grad` says
    that the subject has switched gradients off.
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
        """The number of elements of its first result."""
        return torch.Size(self.shapes[0]).numel() if self.shapes else 0

    @property
    def dtype(self) -> str | None:
        """The dtype of its first result."""
        return self.told.dtype

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes for rules, as JSON values."""
        return self.told.attributes

    @property
    def roles(self) -> tuple[str, ...]:
        """The name of the argument of each operand."""
        return self.told.roles

    @property
    def macs(self) -> int:
        """Its multiply-accumulates, 0 if they are unknown."""
        return self.told.macs or 0


_OVERWRITES = frozenset({"zero", "fill", "normal", "uniform", "bernoulli", "random", "exponential", "cauchy",
                         "log_normal", "geometric"})  # fmt: skip


def takes_shape_alone(event: Event) -> bool:
    """Whether an operation reads the shapes of its operands and none of their numbers."""
    name = base_name(event.op)
    return name.endswith("_like") or name.startswith("new_") or (event.op.endswith("_") and name in _OVERWRITES)


_SHAPED_LIKE = frozenset({"view_as", "reshape_as", "expand_as", "type_as"})


def takes_shape_of_other(op: str) -> bool:
    """Whether an operation reads the numbers of its first operand, but only the shape or dtype of the second."""
    return base_name(op) in _SHAPED_LIKE
