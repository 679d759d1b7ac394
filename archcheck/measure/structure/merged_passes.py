"""Merges several passes into one graph: each operation that ran in any of them, once, in an order that all keep.

The passes are aligned as `diff` aligns lines: operations of the same line and layer are the same one, as far as the
order allows. So each pass is a part of the merged graph, and every operation comes after those that it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from archcheck.facts.records import PART_OF, Op
from archcheck.measure.passes.trace_record import Trace

PassOps = Sequence[Sequence[Op]]


@dataclass(frozen=True, slots=True)
class MergedPasses:
    """The operations of several `passes` in one graph; `places` maps the indices of each pass to those of the graph."""

    ops: tuple[Op, ...]
    passes: PassOps
    places: tuple[dict[int, int], ...]

    def outputs(self, number: int, trace: Trace) -> tuple[int, ...]:
        """Return the operations that make the outputs of a pass, given its trace."""
        return tuple(self.places[number][index] for index in trace.outputs if index >= 0)

    @property
    def adding(self) -> set[int]:
        """The indices of the passes in which an operation reaches an output for the first time; 0 is always in it."""
        known: set[int] = set()
        found = {0}
        for number, ops in enumerate(self.passes):
            live = {self.places[number][op.index] for op in ops if op.live}
            found |= set() if live <= known else {number}
            known |= live
        return found


@dataclass(slots=True)
class _Place:
    """An operation of the merged graph, with that of each pass that ran it."""

    key: Hashable
    ops: dict[int, Op] = field(default_factory=dict)
    index: int = -1


def merged(passes: PassOps) -> MergedPasses:
    """Return the merged graph of several passes; that of one pass, or of none, is the pass itself.

    An operation has the attributes of the first pass that ran it and the largest cost of any. It reads what it reads in
    any pass, and reaches an output if it does so in any.
    """
    if len(passes) < 2:
        return MergedPasses(
            tuple(passes[0]) if passes else (), passes, tuple({op.index: op.index for op in p} for p in passes)
        )
    order: list[_Place] = []
    where: list[dict[int, _Place]] = []
    for number, ops in enumerate(passes):
        own = [_Place(key, {number: op}) for key, op in zip(_keys(ops), ops, strict=True)]
        order, places = _merged(order, own)
        where.append({op.index: place for op, place in zip(ops, places, strict=True)})
    for index, place in enumerate(order):
        place.index = index
    mapped = tuple({index: place.index for index, place in each.items()} for each in where)
    return MergedPasses(tuple(_op(place, mapped, len(passes)) for place in order), passes, mapped)


def _keys(ops: Sequence[Op]) -> list[Hashable]:
    """Return what identifies each operation of a pass: what and where it is, and how often it ran before."""
    seen: Counter[Hashable] = Counter()
    keys: list[Hashable] = []
    for op in ops:
        key = op.layer, op.op, op.kind, op.where, op.params
        keys.append((key, seen[key]))
        seen[key] += 1
    return keys


def _merged(order: list[_Place], own: list[_Place]) -> tuple[list[_Place], list[_Place]]:
    """Return the merged order, and the place of each operation of the pass in it."""
    merged: list[_Place] = []
    places: list[_Place] = []
    before, next_ = 0, 0
    for here, there in [*_pairs([each.key for each in order], [each.key for each in own]), (len(order), len(own))]:
        merged += order[before:here]
        merged += own[next_:there]
        places += own[next_:there]
        if here < len(order):
            order[here].ops |= own[there].ops
            merged.append(order[here])
            places.append(order[here])
        before, next_ = here + 1, there + 1
    return merged, places


def _pairs(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the pairs of places at which two sequences are equal, in order."""
    least = min(len(one), len(other))
    first = next((place for place in range(least) if one[place] != other[place]), least)
    least -= first
    last = next((place for place in range(least) if one[-1 - place] != other[-1 - place]), least)
    head = [(place, place) for place in range(first)]
    tail = [(len(one) - place, len(other) - place) for place in range(last, 0, -1)]
    left, right = one[first : len(one) - last], other[first : len(other) - last]
    if not left or not right:
        return head + tail
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    middle = [(first + block.a + step, first + block.b + step) for block in blocks for step in range(block.size)]
    return head + middle + tail


def _op(place: _Place, mapped: Sequence[dict[int, int]], count: int) -> Op:
    number = min(place.ops)
    first = place.ops[number]
    end = first.attributes.get(PART_OF)
    inputs = dict.fromkeys(mapped[number][index] for number, op in place.ops.items() for index in op.inputs)
    runs = tuple((number, op.macs) for number, op in sorted(place.ops.items()))
    alike = len(runs) == count and len({macs for _, macs in runs}) == 1
    return replace(
        first,
        index=place.index,
        attributes=first.attributes if end is None else {**first.attributes, PART_OF: mapped[number][end]},
        inputs=tuple(inputs),
        macs=max(op.macs for op in place.ops.values()),
        flops=max(op.flops for op in place.ops.values()),
        live=any(op.live for op in place.ops.values()),
        runs=() if alike else runs,
    )
