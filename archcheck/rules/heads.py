"""What the output path of a network ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archcheck.facts import Facts
from archcheck.parts import Op
from archcheck.rules.graphs import TRANSPARENT, dependent_on_input
from archcheck.selectors import GROUPS

_POOLS = GROUPS["global_pool"]
_PASSED = TRANSPARENT - set(GROUPS["pool"]) | set(GROUPS["norm"]) | {"add", "sub", "mul", "div"}


def head_of(facts: Facts) -> tuple[str, ...]:
    """Return the head from the output backwards: `("linear", "global_avg_pool")`.

    A network without linear layer and global pooling at its end gives the one kind that it ends in, with
    `(partial)` or `(trivial)` behind a pooling that is no global one. Where two activations meet, in a
    residual connection or a gate, the head ends; a concatenation goes on if all its parts end alike.
    """
    walk = _Walk(ops=facts.ops, dependent=dependent_on_input(facts.ops))
    for op in facts.ops:  # the first ones first: thousands of them, each of the one before, are too deep for recursion
        if op.kind == "cat" and op.live:
            walk.back_from(op.index)
    ends = [walk.back_from(index) for index in facts.shape.output_ops]
    head = tuple(dict.fromkeys(kind for end in ends for kind in end.head))
    return head or tuple(end.before for end in ends[:1])


@dataclass(frozen=True, slots=True)
class _End:
    """The head that was met on the way back, and what stands before it."""

    head: tuple[str, ...]
    before: str


@dataclass(slots=True)
class _Walk:
    ops: Sequence[Op]
    dependent: Sequence[bool]
    known: dict[int, _End] = field(default_factory=dict)

    def back_from(self, index: int) -> _End:
        if index not in self.known:
            self.known[index] = self._back_from(index)
        return self.known[index]

    def _back_from(self, index: int) -> _End:
        head: list[str] = []
        while True:
            op = self.ops[index]
            kind = _head_kind(op) if op.live else None
            if kind is not None:
                head += [kind] if kind not in head else []
            elif op.kind not in _PASSED:
                break
            activations = [source for source in op.inputs if self.dependent[source]] or op.inputs
            if len(activations) != 1:
                common = self._common(activations) if op.kind == "cat" and not head else None
                return common or _End(tuple(head), _described(op))
            index = activations[0]
        return _End(tuple(head), _described(op))

    def _common(self, parts: Sequence[int]) -> _End | None:
        """Return what all parts of a concatenation end in, if they end in the same head."""
        ends = [self.back_from(part) for part in parts]
        return ends[0] if len({end.head for end in ends}) == 1 and ends[0].head else None


def _head_kind(op: Op) -> str | None:
    if op.kind == "linear" or op.attributes.get("linear_like"):
        return "linear"
    return op.kind if op.kind in _POOLS and op.attributes.get("coverage") == "real" else None


def _described(op: Op) -> str:
    coverage = op.attributes.get("coverage")
    if not op.live:
        return f"{op.kind} (without effect)"
    return f"{op.kind} ({coverage})" if coverage in ("partial", "trivial") else op.kind
