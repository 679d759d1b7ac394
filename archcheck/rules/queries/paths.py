"""Find what follows an operation on the paths to the outputs, and what precedes it on the paths from the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import instance, kinds_of, selects
from archcheck.rules.queries.graphs import TRANSPARENT

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
        following = [reader for reader in readers.get(current.index, ()) if reader.kind not in _OF_SHAPES]
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


_OF_SHAPES = ("factory", "random")
"""Kinds that read no values: `zeros_like` needs only a shape and a dtype."""

_ARITHMETIC = frozenset({
    "add", "sub", "mul", "div", "pow", "exp", "abs", "neg", "clamp", "clamp_min", "clamp_max", "clip", "maximum",
    "minimum", "max", "min", "where", "gt", "lt", "ge", "le",
})  # fmt: skip


def _only_of(reader: Op, reached: Set[int], facts: Facts) -> bool:
    """Whether an operation reads only operations that were reached, and numbers."""
    return all(index in reached or facts.ops[index].kind in ("constant", "factory", "copy") for index in reader.inputs)


def firsts(ops: Sequence[Op], selector: str, dependent: Sequence[bool], facts: Facts) -> list[Op]:
    """Return the operations by which data enters what `selector` points at; the mirror of `lasts`."""
    if kinds_of(selector):
        return list(ops)
    return [op for op in ops if _enters(op, selector, sources_of(op, dependent, facts), facts)]


def _enters(op: Op, selector: str, before: Sequence[Op], facts: Facts) -> bool:
    inside = instance(selector, op.layer, facts)
    whole = inside is not None and facts.has_children(inside)
    return any(
        instance(selector, source.layer, facts) != inside or not (whole or source.kind != op.kind) for source in before
    )


def sources_of(op: Op, dependent: Sequence[bool], facts: Facts) -> list[Op]:
    """Return the operations whose results `op` reads, without those that depend on no input."""
    return [facts.ops[index] for index in op.inputs if dependent[index]]


def wrong_predecessor(op: Op, by: str, dependent: Sequence[bool], facts: Facts, *, direct: bool) -> str | None:
    """Return what stands where `by` should, `None` when every path from an input is right.

    Arithmetic that comes from one operation alone, such as `x * sigmoid(x)`, is passed like an activation that has
    a name; where it joins branches, it is what stands there.
    """
    pending, seen = sources_of(op, dependent, facts), set[int]()
    while pending:
        source = pending.pop()
        if source.index in seen or selects(by, source, facts):
            continue
        seen.add(source.index)
        if not direct and (source.kind in TRANSPARENT or _comes_from_one(source, by, dependent, facts)):
            pending += sources_of(source, dependent, facts)
        else:
            return "the input" if source.kind == "input" else source.kind
    return None


def _comes_from_one(op: Op, by: str, dependent: Sequence[bool], facts: Facts) -> bool:
    """Whether arithmetic without parameters comes from one operation alone, which may be `by`."""
    if not _is_plain_arithmetic(op):
        return False
    ends, pending, seen = set[int](), [op], {op.index}
    while pending:
        for source in sources_of(pending.pop(), dependent, facts):
            stops = selects(by, source, facts) or not (source.kind in TRANSPARENT or _is_plain_arithmetic(source))
            if stops:
                ends.add(source.index)
            elif source.index not in seen:
                seen.add(source.index)
                pending.append(source)
    return len(ends) == 1


def _is_plain_arithmetic(op: Op) -> bool:
    return op.kind in _ARITHMETIC and not op.params
