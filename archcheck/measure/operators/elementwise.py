"""Keeps calls of elementwise operators, to repeat them on other numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch

from archcheck.measure.operators.schema import Operator
from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.shapes.arguments import Call

_ALSO = frozenset({
    "where", "masked_fill", "index_put", "rsub", "max", "min", "threshold", "hardtanh", "to", "_to_copy", "clone",
    "contiguous", "type_as", "lift_fresh", "absolute", "greater", "less", "greater_equal", "less_equal", "subtract",
    "multiply", "divide", "true_divide", "floor_divide", "clip", "square", "alias", "detach",
    "leaky_relu", "elu", "celu", "__and__", "__or__", "__iand__", "__ior__",
})  # fmt: skip
"""Elementwise operators that torch does not tag as pointwise."""


@dataclass(frozen=True, slots=True)
class Elementwise:
    """An elementwise call: the operator and its arguments by name, with a placeholder for each operand."""

    func: Any
    arguments: Mapping[str, Any]

    def of(self, operands: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """Return the result for other operands, `None` if the call fails."""
        try:
            made = self.func(**{name: _filled(value, operands) for name, value in self.arguments.items()})
        except Exception:  # torch may refuse operands of other shapes
            return None
        return made if isinstance(made, torch.Tensor) else None


@dataclass(frozen=True, slots=True)
class _Place:
    index: int


def elementwise(operator: Operator, call: Call) -> Elementwise | None:
    """Return a call for repetition on other numbers, `None` if it is not elementwise."""
    if not _is_elementwise(operator):
        return None
    places = count()

    def emptied(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return _Place(next(places))
        return [emptied(each) for each in value] if isinstance(value, list | tuple) else value

    return Elementwise(operator.func, {name: emptied(value) for name, value in call.items()})


def _is_elementwise(operator: Operator) -> bool:
    """Whether an operator is elementwise. Torch does not tag every in-place form."""
    base = base_name(operator.name)
    if base in _ALSO or torch.Tag.pointwise in operator.func.tags:
        return True
    packet = getattr(torch.ops.aten, base, None) if base != operator.name else None
    other = getattr(packet, operator.func._overloadname, None)
    return other is not None and torch.Tag.pointwise in other.tags


def _filled(value: Any, operands: Sequence[torch.Tensor]) -> Any:
    if isinstance(value, _Place):
        return operands[value.index].clone()
    return [_filled(each, operands) for each in value] if isinstance(value, list) else value
