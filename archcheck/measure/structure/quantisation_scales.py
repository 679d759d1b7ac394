"""Finds the scales and biases of quantised layers: numbers that multiply a product with weights, or are added to it.

A scale multiplies the codes before their product with the input, or the product itself; there it has at most one number
per output channel. A bias is added to the product in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from archcheck.facts.records import Op

_PRODUCTS = frozenset({"linear", "matmul", "conv"})
_SCALING = frozenset({"mul", "div"})
_AFTERWARDS = frozenset({*_SCALING, "add", "sub", "copy", "reshape", "permute"})
"""Kinds that a product goes through while it is scaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The scales of a product with weights, which has `channels` outputs.

    `names` are the parameters and buffers that multiply before or after the product; `afterwards` are those that
    multiply or are added after it.
    """

    channels: int = 0
    names: frozenset[str] = frozenset()
    afterwards: frozenset[str] = frozenset()


def scalings(graphs: Iterable[Sequence[Op]], places: Collection[str]) -> Iterator[tuple[str, Scaling]]:
    """Yield what scales the linear maps, products and convolutions at `places`."""
    for ops in graphs:
        graph = _Graph(ops)
        for op in ops:
            place = place_of(op)
            if place in places and op.kind in _PRODUCTS:
                yield place, graph.scaling_of(op)


@dataclass
class _Graph:
    """The operations of a pass and their dependencies."""

    ops: Sequence[Op]

    @cached_property
    def dependent(self) -> list[bool]:
        """Whether an operation depends on an input."""
        found: list[bool] = []
        for op in self.ops:
            found.append(op.kind == "input" or any(found[index] for index in op.inputs))
        return found

    @cached_property
    def readers(self) -> Mapping[int, Sequence[Op]]:
        """The operations that read the result of each."""
        found: dict[int, list[Op]] = {}
        for op in self.ops:
            for index in op.inputs:
                found.setdefault(index, []).append(op)
        return found

    def scaling_of(self, op: Op) -> Scaling:
        """Return what scales a product with weights."""
        after = list(self._after(op))
        fixed = self._fixed(op)
        scaling = [each for each in (*fixed, *after) if each.kind in _SCALING]
        return Scaling(
            channels=_channels(op),
            names=frozenset(name for each in scaling for name in self._names(each)),
            afterwards=frozenset(name for each in after for name in self._names(each)),
        )

    def _fixed(self, op: Op) -> list[Op]:
        """Return the operations before one that do not depend on an input: those that make its weight."""
        found, pending = dict[int, Op](), [op]
        while pending:
            for index in pending.pop().inputs:
                if not self.dependent[index] and index not in found:
                    found[index] = self.ops[index]
                    pending.append(self.ops[index])
        return list(found.values())

    def _names(self, op: Op) -> set[str]:
        """Return the parameters and buffers that an operation reads, directly or after operations on them alone."""
        return {*op.params, *(name for each in self._fixed(op) for name in each.params)}

    def _after(self, op: Op) -> Iterator[Op]:
        """Yield the operations that scale a result and add to it."""
        pending, seen = list(self.readers.get(op.index, ())), set[int]()
        while pending:
            reader = pending.pop()
            if reader.index not in seen and reader.kind in _AFTERWARDS:
                seen.add(reader.index)
                yield reader
                pending += self.readers.get(reader.index, ())


def place_of(op: Op) -> str:
    """Return the layer, the operator and the line of an operation, as one text."""
    return f"{op.layer} {op.op} {op.where}"


def _channels(op: Op) -> int:
    """Return how many output channels a product has."""
    told = op.attributes
    return int(
        told.get("out_features", told.get("out_channels", op.shapes[0][-1] if op.shapes and op.shapes[0] else 0))
    )
