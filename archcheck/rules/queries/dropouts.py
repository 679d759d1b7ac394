"""Find dropouts in any spelling, and what is wrong with them."""

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
    """A dropout in any spelling: its operation in training, and its `fault` with the `fix`, if it has one."""

    op: Op
    rate: float
    fault: str | None
    fix: str = ""

    @property
    def acts(self) -> bool:
        """Whether it drops anything."""
        return self.fault in (None, LEAK)


LEAK = "is on in evaluation, too"
"""The fault of a dropout that makes the predictions random."""
TURN_OFF = "turn it off in evaluation: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"


def dropouts(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return every executed dropout: layers and functions, in attention and between recurrent layers.

    A dropout that is on in evaluation is found in the evaluation graph. It replaces its operation in training, whether
    on the same line or not.
    """
    graph = facts.executed("train")
    found = active_in_evaluation(facts, on)
    spoken_for = Counter(_site(leak.op) for leak in found)
    draws = count_draws(graph, [op for op in graph if drops(op)])
    for op in graph:
        if not (drops(op) and selects(on, op, facts)):
            continue
        if spoken_for[_site(op)]:
            spoken_for[_site(op)] -= 1
        else:
            many = draws[op.index]
            fault, fix = _fault(op) or (_averaged(many) if many >= DRAWS else (None, ""))
            found.append(Dropout(op=op, rate=op.attributes["p"], fault=fault, fix=fix))
    return sorted(found, key=lambda dropout: dropout.op.index)


def active_in_evaluation(facts: Facts, on: str | None = None) -> list[Dropout]:
    """Return the dropouts that are on in evaluation and reach an output there."""
    return [
        Dropout(op=op, rate=op.attributes["p"], fault=LEAK, fix=TURN_OFF)
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
"""Elements that a dropout must drop per pass, on average, to count. Fewer means none in a hundred passes."""

DRAWS = 30
"""From so many draws of one tensor before the same weights, the draws count as averaged away."""


def _fault(op: Op) -> tuple[str, str] | None:
    """Return why a dropout has no effect in the graph that `op` is part of, and what to do about it."""
    rate = op.attributes["p"]
    if rate <= 0:
        return "has rate 0", "give it a rate above 0: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"
    if op.shapes and rate * (elements := math.prod(op.shapes[0])) < ACTS:
        fault = f"has rate {rate:g}, which drops none of its {elements:,} elements in {1 / ACTS:,.0f} passes"
        return fault, "give it a larger rate"
    if not op.attributes["training"]:
        return "is off in training", "turn it on in training: `nn.Dropout(p)`, or `F.dropout(x, p, self.training)`"
    if op.attributes.get("num_layers", 2) < 2:
        fault = "acts between recurrent layers, and there is one layer"
        return fault, "build it with `num_layers=2` or more, or apply `nn.Dropout(p)` to its output"
    return None if op.live else ("does not reach an output", "use its result on the way to the output")


def _averaged(times: int) -> tuple[str, str]:
    fault = f"is drawn {times:,} times for one tensor, which averages it away"
    return fault, "apply it once to each tensor"
