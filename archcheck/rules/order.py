"""What follows an operation on the paths to the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

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
    """Return what stands where `by` should, `None` when every path to an output is right.

    An activation spelled by hand, such as `x * sigmoid(x)`, reads nothing but what came from `op`, and is passed
    like one that has a name.
    """
    pending, seen, joining = [op], {op.index}, list[Op]()
    while pending:
        current = pending.pop()
        following = readers.get(current.index, ())
        if not following or current.index in facts.shape.output_ops:
            return "the output"
        for reader in following:
            if selects(by, reader, facts) or reader.index in seen:
                continue
            if not direct and reader.kind in TRANSPARENT:
                seen.add(reader.index)
                pending.append(reader)
            elif not direct and reader.kind in _ARITHMETIC and not reader.params:
                joining.append(reader)
            else:
                return reader.kind
        if not pending:
            pending = [reader for reader in joining if reader.index not in seen and _only_of(reader, seen, facts)]
            seen.update(reader.index for reader in pending)
    return next((reader.kind for reader in joining if reader.index not in seen), None)


_ARITHMETIC = frozenset({
    "add", "sub", "mul", "div", "pow", "exp", "abs", "neg", "clamp", "clamp_min", "clamp_max", "clip", "maximum",
    "minimum", "max", "min", "where", "gt", "lt", "ge", "le",
})  # fmt: skip


def _only_of(reader: Op, reached: Set[int], facts: Facts) -> bool:
    """Whether an operation reads only what was reached, and numbers."""
    return all(index in reached or facts.ops[index].kind in ("constant", "factory", "copy") for index in reader.inputs)
