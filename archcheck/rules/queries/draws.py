"""Count how often one tensor is dropped before the same weights. Many draws that are joined again average out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from fractions import Fraction

from archcheck.facts.records import Op
from archcheck.rules.queries.graphs import consumers, dependent_on_input

_REPEATING = frozenset({"reshape", "permute", "copy", "cat", "repeat_interleave"})
"""Kinds that return their input, once or in copies."""

_SCALING = frozenset({"add", "sub", "mul", "div"})
"""Kinds that only scale a tensor if they read no other activation and do not broadcast it."""

_CUTTING = frozenset({"slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "tensor_split"})
"""Operations that return parts of a tensor, with each element at most once."""

_GATHERING = frozenset({"unfold", "im2col", "as_strided"})
"""Operations that repeat the elements of a tensor in several places, where each has another role."""


def count_draws(ops: Sequence[Op], dropouts: Sequence[Op]) -> dict[int, int]:
    """Return by the index of each of `dropouts` how often in `ops` its tensor is dropped, rounded.

    A tensor of n elements of which m are dropped, in copies or in parts, one after the other, is dropped m / n times.
    The draws before the same weights count together, whatever lines and layers draw: what forty heads read, each by
    itself, is not averaged.
    """
    if not dropouts:
        return {}
    tensors = _Tensors(ops)
    shares = {op.index: dict(tensors.shares_of(op)) for op in dropouts}
    times: defaultdict[Hashable, Fraction] = defaultdict(Fraction)
    for each in shares.values():
        for tensor, share in each.items():
            times[tensor] += share
    return {index: round(max(times[tensor] for tensor in each)) for index, each in shares.items()}


class _Tensors:
    """The origin of each dropped tensor, and the weights that read it."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = ops
        self.dependent = dependent_on_input(ops)
        self.readers = consumers(ops)
        self.whole = self._origins(cut=False)
        self.uncut = self._origins(cut=True)
        self.weights = self._weights_ahead()

    def shares_of(self, op: Op) -> Iterator[tuple[Hashable, Fraction]]:
        """Yield the tensors that an operation drops, with the weights ahead, and how much of each."""
        ahead = self.weights[op.index]
        if op.kind != "dropout" or not op.inputs:
            yield (op.inputs, op.params, ahead), Fraction(1)
        elif not self.dependent[op.index]:
            origin = self.whole[op.inputs[0]]
            made = self.ops[origin].kind == "factory"
            yield ((made and self._masked(op)) or origin, ahead), Fraction(1)
        else:
            for origin in {self.whole[op.inputs[0]], self.uncut[op.inputs[0]]}:
                yield (origin, ahead), _share(op, self.ops[origin])

    def _masked(self, op: Op) -> frozenset[int]:
        """Return what a mask is applied to."""
        return frozenset(index for reader in self.readers.get(op.index, ()) for index in self._activations(reader))

    def _activations(self, op: Op) -> list[int]:
        return [index for index in op.inputs if self.dependent[index]]

    def _origins(self, *, cut: bool) -> list[int]:
        """Return for each operation the origin of its tensor. Copies keep it; with `cut`, parts keep it, too."""
        origins: list[int] = []
        for op in self.ops:
            sources = self._activations(op)
            same = len(sources) == 1 and not op.params and self._is_same(op, self.ops[sources[0]], cut=cut)
            origins.append(origins[sources[0]] if same else op.index)
        return origins

    def _is_same(self, op: Op, source: Op, *, cut: bool) -> bool:
        if op.op in _GATHERING:
            return False
        scaled = op.kind in _SCALING and _elements(op) == _elements(source)
        return op.kind in _REPEATING or scaled or (cut and op.op in _CUTTING)

    def _weights_ahead(self) -> list[frozenset[str]]:
        """Return for each operation the first parameters that read its result, on every path to an output."""
        ahead: list[frozenset[str]] = [frozenset()] * len(self.ops)
        for op in reversed(self.ops):
            readers = self.readers.get(op.index, ())
            ahead[op.index] = frozenset().union(*(reader.params or ahead[reader.index] for reader in readers))
        return ahead


def _share(op: Op, origin: Op) -> Fraction:
    """Return the share of a tensor that is dropped. It is 1 if the size is unknown, as after `_foreach_add_`."""
    return Fraction(_elements(op), _elements(origin)) if _elements(origin) else Fraction(1)


def _elements(op: Op) -> int:
    return sum(math.prod(shape) for shape in op.shapes)
