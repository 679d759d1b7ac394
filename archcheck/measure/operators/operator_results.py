"""Describes an operator's call (kind, cost, result) once for all calls with the same signature.

Deep networks repeat calls: the same operator on operands of the same shapes, with the same other arguments. Such calls
have the same description, in evaluation and in training, for any tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from archcheck.foundation.errors import SubjectError
from archcheck.measure.operators.cost import multiply_accumulates
from archcheck.measure.operators.elementwise import Elementwise, elementwise
from archcheck.measure.operators.flops import published_flops
from archcheck.measure.operators.kinds import describe
from archcheck.measure.operators.schema import RANGES, Operator
from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.call_signature import CallSignature
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.memory import Memory
from archcheck.measure.shapes.tensor import ShapeTensor, TensorMetadata, shape_tensor


@dataclass(frozen=True, slots=True)
class Made:
    """One result: its metadata, and the operand whose memory it shares, -1 for memory of its own of `nbytes`."""

    metadata: TensorMetadata
    shares: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make the results of a call from its operands; `wraps` is the class of the sequence that holds them.

    If `made` is `None`, the call returns the operand that it wrote to.
    """

    made: tuple[Made, ...] | None
    wraps: type | None = None
    ordinary_views: bool = False

    def make(self, tensors: Sequence[torch.Tensor], memory: Memory) -> Any:
        """Return new results, in new memory or in that of the operands."""
        if self.made is None:
            if tensors[0].__class__ is not ShapeTensor:
                memory.spoil(tensors[0])
            return tensors[0]
        if self.ordinary_views and not all(tensor.is_inference() for tensor in tensors):
            # A view of an ordinary tensor shares its version counter, which inference tensors do not have.
            with torch.inference_mode(False):
                return self._make(tensors, memory)
        return self._make(tensors, memory)

    def _make(self, tensors: Sequence[torch.Tensor], memory: Memory) -> Any:
        assert self.made is not None
        results = [
            shape_tensor(one.metadata, memory.new(one.nbytes) if one.shares < 0 else memory.of(tensors[one.shares]))
            for one in self.made
        ]
        return results[0] if self.wraps is None else self.wraps(results)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One call: its canonical `kind`, attributes as JSON values, costs (`macs` is `None` if unknown) and results.

    `roles` are the names of the arguments of its operands, `operand_shapes` their shapes. `recipe` is `None` if the
    results depend on more than the signature. `number` is the number that it fills with, compares with, multiplies by
    or draws with. `numbers` are all numbers of Python that influence the result; `integers` are sizes, positions and
    choices. `draws` says that it uses a random generator. `elementwise` repeats an elementwise call on other operands.
    """

    op: str
    kind: str
    attributes: dict[str, Any]
    macs: int | None
    flops: int
    shapes: tuple[tuple[int, ...], ...]
    dtype: str | None
    roles: tuple[str, ...]
    mutates: bool = False
    recipe: Recipe | None = None
    number: float | None = None
    numbers: tuple[complex, ...] = ()
    integers: tuple[float, ...] = ()
    draws: bool = False
    operand_shapes: tuple[tuple[int, ...], ...] = ()
    elementwise: Elementwise | None = None


KNOWN: dict[CallSignature, Answer] = {}
"""The descriptions of this process by signature: the same layers occur in many models."""

_MANY = 20_000
"""Most descriptions that are kept."""


def remember(signature: CallSignature, told: Answer) -> None:
    """Add a description; forget all when there are too many, because signatures may keep arguments alive."""
    if len(KNOWN) >= _MANY:
        KNOWN.clear()
    KNOWN[signature] = told


def answer(
    operator: Operator,
    call: Call,
    outputs: Sequence[torch.Tensor],
    *,
    recipe: Recipe | None = None,
) -> Answer:
    """Return the description of one call, from its arguments by name and its results."""
    name = operator.name
    kind, attributes = describe(name, call, outputs)
    macs = multiply_accumulates(name, call, outputs)
    operands = [(role, tensor) for role, value in call.items() for tensor in tensors_in(value)]
    return Answer(
        op=name,
        kind=kind,
        attributes={key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()},
        macs=macs,
        flops=published_flops(name, call, outputs, macs or 0),
        shapes=tuple(shape_of(tensor) for tensor in outputs),
        dtype=dtype_of(outputs[0]) if outputs else None,
        roles=tuple(role for role, _ in operands),
        mutates=operator.mutates,
        recipe=recipe,
        number=_number(name, call),
        numbers=tuple(numbers_of(operator, call)),
        integers=tuple(_integers(call.values(), floats=operator.name in RANGES)),
        draws=operator.draws,
        elementwise=elementwise(operator, call),
        operand_shapes=tuple(() if tensor.is_nested else shape_of(tensor) for _, tensor in operands),
    )


_NUMBERS = ("p", "fill_value", "value", "other", "self")


def _number(name: str, call: Call) -> float | None:
    if name == "uniform_":
        return 1.0 if (call.get("from", 0), call.get("to", 1)) == (0, 1) else None
    if name in ("randint", "randint_like"):
        return call.get("high") if not call.get("low") else None
    if call.get("alpha", 1) != 1 or call.get("rounding_mode") is not None:
        return None
    found = next((call[key] for key in _NUMBERS if isinstance(call.get(key), int | float)), None)
    return None if found is None else float(found)


def numbers_of(operator: Operator, call: Call) -> Iterator[complex]:
    """Yield the numbers of Python in one call that influence its result."""
    for name in operator.values:
        value = call.get(name)
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, int | float | complex) and not isinstance(each, bool):
                yield each


def _integers(values: Iterable[Any], *, floats: bool) -> Iterator[float]:
    for value in values:
        if value.__class__ is int or (floats and value.__class__ is float):
            yield value
        elif isinstance(value, list | tuple):
            yield from _integers(value, floats=floats)


def source(kind: str, tensor: torch.Tensor) -> Answer:
    """Return the description of a tensor that no operation made: an `input` or a `constant`."""
    return Answer(
        op=kind, kind=kind, attributes={}, macs=0, flops=0, shapes=(shape_of(tensor),), dtype=dtype_of(tensor), roles=()
    )


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the shape as a plain tuple.

    Raises:
        SubjectError: the tensor is nested, and has no single size along an axis.
    """
    if tensor.__class__ is ShapeTensor:
        return tensor.metadata.shape
    if tensor.is_nested:
        raise SubjectError("ragged", "the forward pass uses nested tensors, whose ragged sizes no shape can state")
    return tuple(tensor.shape)


def shapes_of(value: Any) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of all tensors in `value`."""
    if value.__class__ is tuple and len(value) == 1:
        (value,) = value
    if value.__class__ is ShapeTensor:
        return (value.metadata.shape,)
    if value.__class__ is torch.Tensor:
        return (shape_of(value),)
    return tuple([shape_of(tensor) for tensor in tensors_in(value)])


def dtype_of(tensor: torch.Tensor) -> str:
    """Return the name of the dtype: `float32`."""
    return str(tensor.dtype).removeprefix("torch.")
