"""What the output path of a network ends in."""

from __future__ import annotations

from archcheck.facts import Facts, Op
from archcheck.rules.graphs import TRANSPARENT
from archcheck.selectors import GROUPS

_POOLS = GROUPS["global_pool"]
_PASSED = TRANSPARENT - set(GROUPS["pool"]) | set(GROUPS["norm"]) | {"add", "sub", "mul", "div"}


def head_of(facts: Facts) -> tuple[str, ...]:
    """Return the head from the output backwards: `("linear", "global_avg_pool")`.

    A network without linear layer and global pooling at its end gives the one kind that it ends in, with
    `(partial)` or `(trivial)` behind a pooling that is no global one.
    """
    head: list[str] = []
    pending, seen = list(facts.shape.output_ops), set[int]()
    ended: str | None = None
    while pending:
        op = facts.ops[pending.pop(0)]
        if op.index in seen:
            continue
        seen.add(op.index)
        kind = _head_kind(op)
        if kind is not None:
            head += [kind] if kind not in head else []
        elif op.kind not in _PASSED or (head and _joins(op, facts)):
            ended = ended or _described(op)
            continue
        pending += op.inputs
    return tuple(head) or ((ended,) if ended else ())


def _head_kind(op: Op) -> str | None:
    if op.kind == "linear" or op.attributes.get("linear_like"):
        return "linear"
    return op.kind if op.kind in _POOLS and op.attributes.get("coverage") == "real" else None


def _joins(op: Op, facts: Facts) -> bool:
    """Whether two activations meet here: a residual connection, beyond which the head does not reach."""
    return sum(facts.ops[index].kind not in ("constant", "factory") for index in op.inputs) > 1


def _described(op: Op) -> str:
    coverage = op.attributes.get("coverage")
    return f"{op.kind} ({coverage})" if coverage in ("partial", "trivial") else op.kind
