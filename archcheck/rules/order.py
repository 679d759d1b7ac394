"""What follows an operation on the paths to the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archcheck.facts import Facts, Op
from archcheck.rules.graphs import TRANSPARENT
from archcheck.selectors import instance, kinds_of, selects

Readers = Mapping[int, Sequence[Op]]
"""Operation -> the live operations that read its result."""


def lasts(ops: Sequence[Op], selector: str, readers: Readers, facts: Facts) -> list[Op]:
    """Return the operations whose results leave what `selector` points at.

    A kind points at single operations. A path and a layer type point at layers with all that runs inside them,
    and what follows such a layer follows its last operations.
    """
    if kinds_of(selector):
        return list(ops)
    return [op for op in ops if _leaves(op, selector, readers.get(op.index, ()), facts)]


def _leaves(op: Op, selector: str, following: Sequence[Op], facts: Facts) -> bool:
    if op.index in facts.shape.output_ops:
        return True
    inside = instance(selector, op.layer, facts)
    # A layer without children may run twice in a row: the second call is not a part of the first.
    whole = inside is not None and facts.has_children(inside)
    return not following or any(
        instance(selector, reader.layer, facts) != inside or not (whole or reader.kind != op.kind)
        for reader in following
    )


def wrong_follower(op: Op, by: str, readers: Readers, facts: Facts, *, direct: bool) -> str | None:
    """Return what stands where `by` should, `None` when every path to an output is right."""
    pending, seen = [op], {op.index}
    while pending:
        current = pending.pop()
        following = readers.get(current.index, ())
        if not following or current.index in facts.shape.output_ops:
            return "the output"
        for reader in following:
            if selects(by, reader, facts) or reader.index in seen:
                continue
            if direct or reader.kind not in TRANSPARENT:
                return reader.kind
            seen.add(reader.index)
            pending.append(reader)
    return None
