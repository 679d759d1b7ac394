"""What several rules ask of an executed graph: names for people, neighbours, and what really takes effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts import Facts, Layer, Op
from archcheck.selectors import GROUPS, selects
from archcheck.where import Where

TRANSPARENT = frozenset({
    *GROUPS["activation"], *GROUPS["pool"], *GROUPS["reshape"], "dropout", "mean", "softmax", "log_softmax",
})  # fmt: skip
"""Kinds that may stand between a layer and what follows it: they have no weights and mix no channels."""


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


def live(facts: Facts, selector: str | None, on: str | None = None, mode: str = "eval") -> list[Op]:
    """Return the operations that `selector` points at and whose result reaches an output."""
    return [op for op in facts.executed(mode) if op.live and selects(selector, op, facts) and selects(on, op, facts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropout:
    """A dropout, of whatever spelling: the operation in training and what is wrong with it, if anything."""

    op: Op
    rate: float
    fault: str | None


def dropouts(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return every executed dropout: layers and functions, in attention and between recurrent layers."""
    leaks = {_site(op) for op in facts.ops if _drops(op) and op.attributes["training"]}
    found = []
    for op in facts.executed("train"):
        if _drops(op) and selects(on, op, facts):
            found.append(Dropout(op=op, rate=op.attributes["p"], fault=_fault(op, _site(op) in leaks)))
    return found


def _drops(op: Op) -> bool:
    if op.kind == "dropout":
        return True
    return op.kind in ("attention", "lstm", "gru", "rnn") and op.attributes.get("p", 0.0) > 0


def _site(op: Op) -> tuple[str, str, Where | None]:
    return op.layer, op.op, op.where


def _fault(op: Op, leaks: bool) -> str | None:
    if op.attributes["p"] <= 0:
        return "has rate 0"
    if not op.attributes["training"]:
        return "is off in training"
    if op.attributes.get("num_layers", 2) < 2:
        return "acts between recurrent layers, and there is one layer"
    if leaks:
        return "is on in evaluation, too"
    return None if op.live else "does not reach an output"


def effective(facts: Facts, selector: str, on: str | None = None) -> list[Op]:
    """Return the operations that make good on a promise of `selector`.

    They run, they reach an output, and they do something: dropout drops in training only, global pooling
    gathers more than one position.
    """
    if selector == "dropout":
        return [dropout.op for dropout in dropouts(facts, on) if dropout.fault is None]
    return [op for op in live(facts, selector, on) if op.attributes.get("coverage") != "trivial"]


def shortfalls(facts: Facts, selector: str, on: str | None = None) -> Iterator[tuple[str, Layer | None, Op | None]]:
    """Yield what looks as if it kept a promise of `selector` and does not: text, layer, operation."""
    if selector == "dropout":
        for dropout in dropouts(facts, on):
            yield f"{label(dropout.op, facts)} {dropout.fault}", facts.layer(dropout.op.layer), dropout.op
    for op in facts.ops:
        reason = _shortfall(op, selector, facts)
        if reason and selects(on, op, facts):
            yield f"{label(op, facts)} {reason}", facts.layer(op.layer), op
    for layer in facts.layers:
        reason = _declared(layer, selector, facts)
        if reason:
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
    if not any(op.layer == layer.path and selects(selector, op, facts) for op in facts.ops):
        return f"is called and executes no {selector}" if layer.type != selector else None
    return None
