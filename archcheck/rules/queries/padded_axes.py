"""Find the axes of a map that a convolution slides over, because padding these axes is padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archcheck.facts.records import Op, Shape
from archcheck.facts.selectors import GROUPS
from archcheck.rules.queries.graphs import consumers, dependent_on_input

CONVOLUTIONS = ("conv", "global_conv")
"""Kinds that slide a kernel over a map, and may pad it."""

_SLIDING = (*CONVOLUTIONS, "conv_transpose")
_MIXING = frozenset({*GROUPS["weights"], "matmul"})
"""Kinds whose result has other positions than their input."""
_REDUCING = frozenset({*GROUPS["pool"], "sum", "mean", "amax", "max"})
"""Kinds that reduce a window to one number: a pooling in parts, if no weight came before."""

_UNFOLDING = ("im2col", "unfold")
"""Operations that lay out the windows of a map, as the first half of a convolution does."""

Axes = frozenset[int] | None
"""Axes of a result, from 0; `None` if they are unknown."""


@dataclass(slots=True)
class PositionAxes:
    """The axes that convolutions slide over, found on the paths back from each convolution."""

    ops: Sequence[Op]

    def spelled(self) -> list[Op]:
        """Return the operations that lay out windows for a product with weights: the first half of a convolution."""
        readers = consumers(self.ops)
        return [op for op in self.ops if op.live and op.op in _UNFOLDING and _meets_weights(op, readers)]

    def padding_before(self) -> Iterator[Op]:
        """Yield the paddings of maps on the way to a convolution, in the order they run."""
        dependent = dependent_on_input(self.ops)
        found, seen = set[int](), set[tuple[int, Axes]]()
        sliding = [*(op for op in self.ops if op.live and op.kind in _SLIDING), *self.spelled()]
        pending = [start for op in sliding for start in self._starts(op)]
        while pending:
            index, axes = pending.pop()
            op = self.ops[index]
            if (index, axes) in seen or not dependent[index] or op.kind in _MIXING:
                continue
            seen.add((index, axes))
            if op.kind == "pad" and _pads(op, axes):
                found.add(index)
            pending += [(source, self._before(op, source, axes)) for source in op.inputs]
        return (op for op in self.ops if op.index in found)

    def _starts(self, op: Op) -> Iterator[tuple[int, Axes]]:
        kernel = op.attributes.get("kernel")
        for index in op.inputs[:1]:
            shapes = self.ops[index].shapes
            rank = len(shapes[0]) if shapes else 0
            if "axis" in op.attributes:
                yield index, frozenset({op.attributes["axis"]})
                continue
            yield index, frozenset(range(rank - len(kernel), rank)) if kernel and op.op != "conv_tbc" else None

    def _before(self, op: Op, source: int, axes: Axes) -> Axes:
        """Return the axes of the input of an operation that become `axes` of its result."""
        shapes = self.ops[source].shapes
        if axes is None or not shapes or not op.shapes:
            return None
        before, after = shapes[0], op.shapes[0]
        if op.kind == "permute" and len(op.attributes.get("order", ())) == len(after):
            return frozenset(op.attributes["order"][axis] for axis in axes)
        if len(before) == len(after):
            return axes if op.op not in ("reshape", "view", "_unsafe_view") or before == after else None
        if op.kind != "reshape":  # broadcasting puts axes before the others
            return frozenset(axis - len(after) + len(before) for axis in axes if axis >= len(after) - len(before))
        places = _same_axes(after, before)
        return None if places is None else frozenset(places[axis] for axis in axes if axis in places)


def _meets_weights(op: Op, readers: Mapping[int, Sequence[Op]]) -> bool:
    """Whether weights read a result before another operation changes its positions."""
    pending, seen = list(readers.get(op.index, ())), set[int]()
    while pending:
        reader = pending.pop()
        if reader.kind in _MIXING or (reader.kind == "mul" and reader.params):
            if reader.params and reader.kind not in ("embedding", "attention"):
                return True
        elif reader.index not in seen and reader.kind not in _REDUCING:
            seen.add(reader.index)
            pending += readers.get(reader.index, ())
    return False


def _same_axes(one: Shape, other: Shape) -> dict[int, int] | None:
    """Map the axes of one shape to those of another with the same sizes, apart from axes of size 1; else `None`."""
    mine, theirs = ([axis for axis, size in enumerate(shape) if size != 1] for shape in (one, other))
    if [one[axis] for axis in mine] != [other[axis] for axis in theirs]:
        return None
    return dict(zip(mine, theirs, strict=True))


def _pads(op: Op, axes: Axes) -> bool:
    """Whether an operation pads one of the axes, or, if they are unknown, any axis but the batch."""
    rank, pad = len(op.shapes[0]), op.attributes.get("pad", ())
    padded = {rank - 1 - place // 2 for place, size in enumerate(pad) if size > 0}
    return bool(padded & axes) if axes is not None else any(axis > 0 for axis in padded)
