"""Find the hand-written kinds that operations are a part of: a normalisation, a softmax, an attention."""

from __future__ import annotations

from collections.abc import Sequence

from archcheck.facts.records import PART_OF, Op

_BETWEEN = frozenset({
    "softmax", "mul", "div", "add", "sub", "exp", "sum", "max", "where", "masked_fill", "dropout", "reshape", "permute",
    "copy", "slice", "constant", "factory",
})  # fmt: skip
"""What may stand between the two products of an attention: scaling, masks, the softmax and views."""
_FARTHEST = 24
"""Operations that one attention takes at most."""


def wholes(ops: Sequence[Op]) -> list[list[Op]]:
    """Return for each operation of a graph the hand-written operations that it is a part of, the outer ones, too."""
    found: list[list[Op]] = [[] for _ in ops]
    for op in reversed(ops):  # a whole ends after its parts
        end = op.attributes.get(PART_OF)
        if end is not None:
            found[op.index] += [ops[end], *found[end]]
        if op.kind == "attention":
            for index in _weights_of(op, ops):
                found[index].append(op)
    return found


def _weights_of(attention: Op, ops: Sequence[Op]) -> set[int]:
    """Return the operations of an attention before its second product: softmax, first product and scaling."""
    found, pending = set[int](), [index for index in attention.inputs if _leads_to_softmax(index, ops)]
    while pending and len(found) < _FARTHEST:
        op = ops[pending.pop()]
        if op.index in found or op.kind not in _BETWEEN | {"matmul"}:
            continue
        found.add(op.index)
        if op.kind == "matmul":  # the first product, and the scaling of what it multiplies
            found |= {index for index in op.inputs if ops[index].kind in ("mul", "div")}
        else:
            pending += op.inputs
    return found


def _leads_to_softmax(index: int, ops: Sequence[Op]) -> bool:
    """Whether an operand of the second product comes from a softmax by what only scales, drops or reshapes it."""
    for _ in range(_FARTHEST):
        op = ops[index]
        if op.kind == "softmax":
            return True
        if op.kind not in _BETWEEN or not op.inputs:
            return False
        index = op.inputs[0]
    return False
