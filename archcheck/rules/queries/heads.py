"""Find what the output path of a network ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archcheck.facts.facts import Facts
from archcheck.facts.main_output import main_output
from archcheck.facts.records import Op
from archcheck.facts.selectors import GROUPS
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import listed, quote
from archcheck.rules.queries.effects import is_pointwise_linear, pointwise_note
from archcheck.rules.queries.graphs import TRANSPARENT, dependent_on_input, has_weight

_POOLS = GROUPS["global_pool"]
_PASSED = TRANSPARENT - set(GROUPS["pool"]) | set(GROUPS["norm"]) | {"add", "sub", "mul", "div"}
_OF_THEIR_OWN = frozenset({*GROUPS["weights"], *GROUPS["pool"], "matmul", "input", "constant", "factory", "random"})
"""Kinds that mix or gather features, or that get their values from elsewhere."""


@dataclass(frozen=True, slots=True)
class End:
    """The head, as kind -> description for people, and the operation before it."""

    head: Mapping[str, str]
    before: str

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the head from the output backwards; without a head, the kind that the network ends in."""
        return tuple(self.head) or (self.before,)

    @property
    def told(self) -> str:
        """The same for people."""
        return " after ".join(self.head.values()) or self.before


def head_of(facts: Facts, output: int | str | None = None) -> tuple[str, ...]:
    """Return the head from the output backwards: `("linear", "global_avg_pool")`.

    A network without linear layer and global pooling at its end gives the one kind that it ends in, with
    `(partial)` or `(trivial)` behind a pooling that is no global one. Where two activations meet, in a
    residual connection or a gate, the head ends, unless both come from one operation through arithmetic alone; a
    concatenation goes on if all its parts end alike.

    Raises:
        NotMeasured: the model has no such output.
    """
    end = end_of(facts, output)
    return end.kinds if end else ()


def end_of(facts: Facts, output: int | str | None = None) -> End | None:
    """Return the end of the path to an output, the first unless `output` is the place or the name of another.

    `None` where no operation makes an output. Raises `NotMeasured` where the model has no such output.
    """
    index = _output_op(facts, output)
    if index is None:
        return None
    walk = _Walk(ops=facts.ops, dependent=dependent_on_input(facts.ops))
    for op in facts.ops:  # in order of execution, because thousands of nested concatenations are too deep for recursion
        if op.kind == "cat" and op.live:
            walk.back_from(op.index)
    return walk.back_from(index)


def _output_op(facts: Facts, output: int | str | None) -> int | None:
    ops, names = facts.shape.output_ops, facts.shape.output_names
    if output is None:
        return (
            ops[main_output([facts.ops[op].shapes[0] if facts.ops[op].shapes else () for op in ops])] if ops else None
        )
    if isinstance(output, int) and 0 <= output < len(ops):
        return ops[output]
    if isinstance(output, str) and output in names:
        return ops[names.index(output)]
    known = listed(name for name in names if name)
    there = f"its outputs are {known}" if known else f"it returns {len(ops)} and gives none a name"
    raise NotMeasured(
        f"the model has no output {quote(output) if isinstance(output, str) else output}; {there}",
        fix="name one of them in `output`, or leave it out for the first",
    )


@dataclass(slots=True)
class _Walk:
    ops: Sequence[Op]
    dependent: Sequence[bool]
    known: dict[int, End] = field(default_factory=dict)

    def back_from(self, index: int) -> End:
        if index not in self.known:
            self.known[index] = self._back_from(index)
        return self.known[index]

    def _back_from(self, index: int) -> End:
        head: dict[str, str] = {}
        while True:
            op = self.ops[index]
            kind = self._head_kind(op) if op.live else None
            if kind is not None:
                head.setdefault(kind, kind + pointwise_note([op]))
            elif not self._leaves_the_head(op):
                break
            activations = self._activations(op) or op.inputs
            source = activations[0] if len(activations) == 1 else self._meeting_point(op)
            if source is None:
                common = self._common(activations) if op.kind == "cat" and not head else None
                return common or End(head, self._described(op))
            index = source
        return End(head, self._described(op))

    def _activations(self, op: Op) -> list[int]:
        return [source for source in op.inputs if self.dependent[source]]

    def _leaves_the_head(self, op: Op) -> bool:
        """Whether the head goes on before an operation, because it only reshapes, scales or maps single numbers."""
        if op.kind in _PASSED:
            return True
        activations = self._activations(op)
        if not _is_plain(op) or not activations:
            return False
        if len(activations) > 1:
            return self._meeting_point(op) is not None
        return op.shapes[:1] == self.ops[activations[0]].shapes[:1]

    def _meeting_point(self, op: Op) -> int | None:
        """Return the one operation that all activations come from, through nothing with weights: `x * sigmoid(x)`."""
        if op.kind == "cat":
            return None
        ends, pending, seen = set[int](), [op], set[int]()
        while pending:
            for source in self._activations(pending.pop()):
                before = self.ops[source]
                if self._head_kind(before) or not (before.kind in _PASSED or _is_plain(before)):
                    ends.add(source)
                elif source not in seen:
                    seen.add(source)
                    pending.append(before)
        return next(iter(ends)) if len(ends) == 1 else None

    def _common(self, parts: Sequence[int]) -> End | None:
        """Return what all parts of a concatenation end in, if they end in the same head."""
        ends = [self.back_from(part) for part in parts]
        return ends[0] if len({tuple(end.head) for end in ends}) == 1 and ends[0].head else None

    def _head_kind(self, op: Op) -> str | None:
        if is_pointwise_linear(op) or (op.kind == "linear" and has_weight(op, self.ops, self.dependent)):
            return "linear"
        return op.kind if op.kind in _POOLS and op.attributes.get("coverage") == "real" else None

    def _described(self, op: Op) -> str:
        coverage = op.attributes.get("coverage")
        without_weight = op.kind == "linear" and self._head_kind(op) is None
        kind = "matmul" if without_weight else op.kind
        if not op.live:
            return f"{kind} (without effect)"
        return f"{kind} ({coverage})" if coverage in ("partial", "trivial") else kind


def _is_plain(op: Op) -> bool:
    """Whether an operation has no weights of its own and gathers no positions."""
    return not op.params and op.kind not in _OF_THEIR_OWN
