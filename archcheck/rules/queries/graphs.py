"""Queries on an executed graph: names for people, and neighbours."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import PART_OF, Op
from archcheck.facts.selectors import GROUPS, KINDS, selects
from archcheck.foundation.source_place import Where

TRANSPARENT = frozenset({
    *GROUPS["activation"], *GROUPS["pool"], *GROUPS["reshape"], "dropout", "mean", "softmax", "log_softmax",
})  # fmt: skip
"""Kinds that may stand between a layer and what follows it.

They reduce, rearrange, join or rescale features; none mixes them with learned weights.
"""


_MADE = frozenset({"constant", "factory", "random"})
"""Kinds whose results take at most the shape of what they read."""


def label(op: Op, facts: Facts) -> str:
    """Return the name of an operation for findings: its layer, or the line that calls it."""
    layer = facts.layer(op.layer)
    if layer is not None and layer.path and not facts.has_children(layer.path):
        return f"`{layer.path}` ({layer.type})"
    return f"`{op.op}` at {op.where}" if op.where else f"`{op.op}`"


def word_for(op: Op) -> str:
    """Return the word that selects what an operation is: its kind, or its operator if it has no kind."""
    if op.kind in KINDS and op.kind != "unknown":
        return op.kind
    return op.op if "::" in op.op else f"aten::{op.op}"


def place(op: Op, facts: Facts) -> Where | None:
    """Return the line to point at: the line that builds the layer of an operation, else the line that calls it."""
    layer = facts.layer(op.layer)
    if layer is not None and layer.path and not facts.has_children(layer.path):
        return layer.where or op.where or facts.built_at(op.layer)
    return op.where or facts.subject.where


def consumers(ops: Sequence[Op]) -> dict[int, list[Op]]:
    """Return for each operation the live operations that read its result. The parts of an operation read as one."""
    found: dict[int, list[Op]] = {}
    for op in ops:
        end = ops[op.attributes.get(PART_OF, op.index)]
        for index in op.inputs if op.live else ():
            readers = found.setdefault(index, [])
            if end not in readers[-1:]:
                readers.append(end)
    return found


def dependent_on_input(ops: Sequence[Op]) -> list[bool]:
    """Return for each operation whether its values depend on an input. Zeros or noise of its shape do not."""
    return _computed_from(ops, lambda op: op.kind == "input")


def varying(ops: Sequence[Op], weights: Container[str] = ()) -> list[bool]:
    """Return for each operation whether its result depends on an input, on chance, or on one of the named `weights`.

    A converter stores any other. Ones of the shape of an input or of a weight depend on neither.
    """
    return _computed_from(
        ops,
        lambda op: (
            op.kind in ("input", "random") or (op.kind not in _MADE and any(name in weights for name in op.params))
        ),
    )


def _computed_from(ops: Sequence[Op], is_source: Callable[[Op], bool]) -> list[bool]:
    """Return for each operation whether it is a source, or computes with the numbers of one."""
    found: list[bool] = []
    for op in ops:
        found.append(is_source(op) or (op.kind not in _MADE and any(found[index] for index in op.inputs)))
    return found


def has_weight(op: Op, ops: Sequence[Op], dependent: Sequence[bool]) -> bool:
    """Whether a product reads a stored tensor. A tensor made from a shape or drawn at random is none."""
    if not op.params and all(dependent[index] for index in op.inputs):
        return True  # a quantised weight is packed into what is no tensor
    pending, seen = [op], {op.index}
    while pending:
        each = pending.pop()
        if each.params or each.kind == "constant":
            return True
        fixed = {index for index in each.inputs if not dependent[index]} - seen
        seen |= fixed
        pending += [ops[index] for index in fixed]
    return False


def live(facts: Facts, selector: str | None, on: str | None = None, mode: str = "eval") -> list[Op]:
    """Return the operations that `selector` points at and whose result reaches an output."""
    return [op for op in facts.executed(mode) if op.live and selects(selector, op, facts) and selects(on, op, facts)]
