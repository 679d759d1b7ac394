"""Dropout, of whatever spelling: where it is drawn, and what is wrong with it, if anything."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import selects
from archcheck.foundation.source_place import Where
from archcheck.rules.queries.draws import count_draws


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
    graph = facts.executed("train")
    found = leaks(facts, on)
    spoken_for = Counter(_site(leak.op) for leak in found)
    draws = count_draws(graph, [op for op in graph if drops(op)])
    for op in graph:
        if not (drops(op) and selects(on, op, facts)):
            continue
        if spoken_for[_site(op)]:
            spoken_for[_site(op)] -= 1
        else:
            many = draws[op.index]
            averaged = f"is drawn {many:,} times for one tensor, which averages it away" if many >= DRAWS else None
            found.append(Dropout(op=op, rate=op.attributes["p"], fault=_fault(op) or averaged))
    return sorted(found, key=lambda dropout: dropout.op.index)


def leaks(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return the dropouts that are on in evaluation and reach an output there."""
    return [
        Dropout(op=op, rate=op.attributes["p"], fault=LEAK)
        for op in facts.ops
        if drops(op) and selects(on, op, facts) and _fault(op) is None
    ]


def drops(op: Op) -> bool:
    """Whether an operation is a dropout, or has one inside: attention, and recurrent layers."""
    if op.kind == "dropout":
        return True
    return op.kind in ("attention", "lstm", "gru", "rnn") and op.attributes.get("p", 0.0) > 0


def _site(op: Op) -> tuple[str, str, Where | None]:
    return op.layer, op.op, op.where


ACTS = 0.01
"""Elements that a dropout has to drop in a pass, on average, to count: less is none in a hundred passes."""

DRAWS = 30
"""Times that one tensor is dropped before the same weights from which on the draws are taken to be averaged away."""


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
