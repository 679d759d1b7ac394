"""What several rules ask of an executed graph: names for people, neighbours, and what really takes effect."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts import Facts
from archcheck.parts import Layer, Op
from archcheck.selectors import GROUPS, selects, selects_layer
from archcheck.where import Where

TRANSPARENT = frozenset({
    *GROUPS["activation"], *GROUPS["pool"], *GROUPS["reshape"], "dropout", "mean", "softmax", "log_softmax",
})  # fmt: skip
"""Kinds that may stand between a layer and what follows it.

They reduce, rearrange, join or rescale features; none mixes them with learned weights.
"""


def label(op: Op, facts: Facts) -> str:
    """Return how a finding names an operation: its layer, or the line that calls it."""
    layer = facts.layer(op.layer)
    if layer is not None and layer.path and not facts.has_children(layer.path):
        return f"`{layer.path}` ({layer.type})"
    return f"`{op.op}` at {op.where}" if op.where else f"`{op.op}`"


def place(op: Op, facts: Facts) -> Where | None:
    """Return where to point for an operation: the line that builds its layer, else the line that calls it."""
    layer = facts.layer(op.layer)
    if layer is not None and layer.path and not facts.has_children(layer.path):
        return layer.where or op.where
    return op.where or facts.subject.where


def consumers(ops: Sequence[Op]) -> dict[int, list[Op]]:
    """Return for each operation the live operations that read its result."""
    found: dict[int, list[Op]] = {}
    for op in ops:
        for index in op.inputs if op.live else ():
            found.setdefault(index, []).append(op)
    return found


def dependent_on_input(ops: Sequence[Op]) -> list[bool]:
    """Return for each operation whether its values depend on an input; zeros or noise of its shape do not."""
    dependent: list[bool] = []
    for op in ops:
        made = op.kind in ("constant", "factory", "random")
        dependent.append(not made and (op.kind == "input" or any(dependent[index] for index in op.inputs)))
    return dependent


def live(facts: Facts, selector: str | None, on: str | None = None, mode: str = "eval") -> list[Op]:
    """Return the operations that `selector` points at and whose result reaches an output."""
    return [op for op in facts.executed(mode) if op.live and selects(selector, op, facts) and selects(on, op, facts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """A dropout, of whatever spelling: the operation in training and what is wrong with it, if anything."""

    op: Op
    rate: float
    fault: str | None

    @property
    def acts(self) -> bool:
        """Whether it drops anything, as it should or in evaluation, too."""
        return self.fault in (None, LEAK)


LEAK = "is on in evaluation, too"
"""The fault of a dropout that makes the predictions random."""


def dropouts(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return every executed dropout: layers and functions, in attention and between recurrent layers.

    One that is on in evaluation is found in the graph of evaluation and speaks for its operation in training,
    be it written on the same line or not.
    """
    found = leaks(facts, on)
    spoken_for = Counter(_site(leak.op) for leak in found)
    draws = _draws(facts.executed("train"))
    for op in facts.executed("train"):
        if not (_drops(op) and selects(on, op, facts)):
            continue
        if spoken_for[_site(op)]:
            spoken_for[_site(op)] -= 1
        else:
            many = draws[op.inputs, op.where, op.layer]
            averaged = f"is drawn {many:,} times for one tensor, which averages it away" if many >= DRAWS else None
            found.append(Dropout(op=op, rate=op.attributes["p"], fault=_fault(op) or averaged))
    return sorted(found, key=lambda dropout: dropout.op.index)


def leaks(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return the dropouts that are on in evaluation and reach an output there."""
    return [
        Dropout(op=op, rate=op.attributes["p"], fault=LEAK)
        for op in facts.ops
        if _drops(op) and selects(on, op, facts) and _fault(op) is None
    ]


def _drops(op: Op) -> bool:
    if op.kind == "dropout":
        return True
    return op.kind in ("attention", "lstm", "gru", "rnn") and op.attributes.get("p", 0.0) > 0


def _site(op: Op) -> tuple[str, str, Where | None]:
    return op.layer, op.op, op.where


ACTS = 0.001
"""Elements that a dropout has to drop in a pass, on average, to count: less is none in a thousand passes."""

DRAWS = 30
"""Times that one tensor is dropped at one place, beyond which the draws are taken to be averaged away."""


def _draws(ops: Sequence[Op]) -> Counter[tuple[tuple[int, ...], Where | None, str]]:
    """Count how often one and the same tensor is dropped at one place, copies of it included."""
    draws: Counter[tuple[tuple[int, ...], Where | None, str]] = Counter()
    for op in ops:
        if _drops(op):
            draws[(op.inputs, op.where, op.layer)] += _copies(op, ops)
    return draws


def _copies(op: Op, ops: Sequence[Op]) -> int:
    """Return into how many copies a tensor was spread before an operation, 1 for none."""
    before = ops[op.inputs[0]] if op.inputs else op
    first = before
    while first.kind == "reshape" and first.inputs:
        first = ops[first.inputs[0]]
    sizes = [math.prod(each.shapes[0]) if each.shapes else 0 for each in (before, first)]
    return max(1, sizes[0] // max(1, sizes[1])) if first.kind not in ("constant", "factory") else 1


def _fault(op: Op) -> str | None:
    """Return why a dropout has no effect in the graph that `op` is part of."""
    if op.attributes["p"] <= 0:
        return "has rate 0"
    if op.shapes and (rate := op.attributes["p"]) * (elements := math.prod(op.shapes[0])) < ACTS:
        return f"has rate {rate:g}, which drops none of its {elements:,} elements in {1 / ACTS:,.0f} passes"
    if not op.attributes["training"]:
        return "is off in training"
    if op.attributes.get("num_layers", 2) < 2:
        return "acts between recurrent layers, and there is one layer"
    return None if op.live else "does not reach an output"


def effective(facts: Facts, selector: str, on: str | None = None) -> list[Op]:
    """Return the operations that make good on a promise of `selector`.

    They run, they reach an output, and they do something: dropout drops in training only, global pooling
    gathers more than one position.
    """
    if selector == "dropout":
        return [dropout.op for dropout in dropouts(facts, on) if dropout.fault is None]
    found = live(facts, selector, on)
    if selector == "linear":  # a convolution that sees the whole map at once is one, too, where one is asked for
        found += [op for op in live(facts, None, on) if op.attributes.get("linear_like")]
    in_training = _sites(facts)
    return [op for op in found if op.attributes.get("coverage") != "trivial" and not _rests(op, in_training)]


def _sites(facts: Facts) -> frozenset[tuple[str, str]] | None:
    """Return where what runs in training reaches an output, as layer and kind; `None` where that is not known."""
    return frozenset((op.layer, op.kind) for op in facts.executed("train") if op.live) if facts.train_length else None


def _rests(op: Op, in_training: frozenset[tuple[str, str]] | None) -> bool:
    """Whether a normalisation takes part in evaluation only: what is trained then is another network."""
    return op.kind in GROUPS["norm"] and in_training is not None and (op.layer, op.kind) not in in_training


def shortfalls(facts: Facts, selector: str, on: str | None = None) -> Iterator[tuple[str, Layer | None, Op | None]]:
    """Yield what looks as if it kept a promise of `selector` and does not: text, layer, operation."""
    if selector == "dropout":
        for dropout in dropouts(facts, on):
            if dropout.fault is not None:
                yield f"{label(dropout.op, facts)} {dropout.fault}", facts.layer(dropout.op.layer), dropout.op
    in_training = _sites(facts)
    for op in facts.ops:
        reason = _shortfall(op, selector, facts)
        if reason is None and selects(selector, op, facts) and _rests(op, in_training):
            reason = "takes part in evaluation only, not in training"
        if reason and selects(on, op, facts):
            yield f"{label(op, facts)} {reason}", facts.layer(op.layer), op
    for layer in facts.layers:
        reason = _declared(layer, selector, facts)
        if reason and selects_layer(on, layer, facts):
            yield f"`{layer.path}` ({layer.type}) {reason}", layer, None


def _shortfall(op: Op, selector: str, facts: Facts) -> str | None:
    if selector == "dropout":
        return None
    if selects(selector, op, facts):
        if not op.live:
            return "runs, but its result reaches no output"
        if op.attributes.get("coverage") == "trivial":
            return "pools a map that is 1x1 already (trivial)"
    if selector == "global_avg_pool" and op.kind == "avg_pool":
        extent = "x".join(map(str, op.attributes.get("extent", ())))
        if op.attributes.get("coverage") == "partial":
            return f"leaves out a border of the {extent} map (partial)"
        return f"pools its {extent} map to {'x'.join(map(str, op.shapes[0][2:]))}, not to one position"
    return None


def _declared(layer: Layer, selector: str, facts: Facts) -> str | None:
    """Whether a layer is called like a kind and does not do what it is called."""
    if selector.replace("_", "") not in layer.type.lower() and layer.type != selector:
        return None
    if not layer.called:
        return "is declared and never called"
    if not any(selects(selector, op, facts) for op in facts.ops_of(layer.path)):
        return f"is called and executes no {selector}" if layer.type != selector else None
    return None
