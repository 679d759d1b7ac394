"""Queries for models where values decide what runs: how many passes ran something, what decided, and the worst pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archcheck.facts.facts import Facts, lineage
from archcheck.facts.records import Choice, Op, ValuePasses
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result


def checked(rule: Rule, facts: Facts) -> Result:
    """Return the result of a rule. Where values decide what runs and the rule follows paths, it is that of the worst
    pass, with a note.
    """
    if facts.passes is None or not rule.each_pass:
        return rule.check(facts)
    ways = facts.ways
    results = [rule.check(way) for way in ways]
    broken = [result for result in results if result.findings]
    worst = next(iter(broken), next((result for result in results if result.examined), results[0]))
    if len(ways) == 1:
        return worst
    told = f"broken in {len(broken)} of" if broken else "kept in each of"
    note = f"values decide what runs: {told} {len(ways)} ways that the passes took"
    return replace(worst, notes=(*worst.notes, note))


def share(facts: Facts, ops: Iterable[Op], mode: str) -> str:
    """Return in how many passes of a mode any of these operations ran, as ` in 9 of 16 passes`; empty for all."""
    ops = tuple(ops)
    if facts.passes is None or not ops or any(not op.runs for op in ops):
        return ""
    count = facts.passes.training if mode == "train" else facts.passes.evaluation
    ran = {number for op in ops for number, _ in op.runs}
    return f" in {len(ran)} of {count} passes" if len(ran) < count else ""


def in_passes(facts: Facts) -> str:
    """Return ` in 16 passes of evaluation and 16 of training`, empty where values decide nothing."""
    return f" in {passes_text(facts.passes)}" if facts.passes else ""


def passes_text(passes: ValuePasses) -> str:
    """Return `16 passes in evaluation and 16 in training`, without a mode in which values decide nothing."""
    modes = [(passes.evaluation, "evaluation"), (passes.training, "training")]
    several = [each for each in modes if each[0] > 1] or modes[:1]
    (count, mode), *more = several
    text = f"{count} pass{'es' if count > 1 else ''} in {mode}"
    return " and ".join([text, *(f"{count} in {mode}" for count, mode in more)])


def decided_at(facts: Facts, layer: str) -> str:
    """Return the lines that decide in the layer that holds a layer; empty where none does."""
    holders = [*lineage(layer.rpartition(".")[0])][::-1]
    known = facts.passes.choices if facts.passes else ()
    found = next((own for path in holders if (own := [each for each in known if each.layer == path])), [])
    return "; ".join(map(deciding, found[:2]))


def deciding(choice: Choice) -> str:
    """Return `model.py:3 decides by `if x.mean() > 0` (evaluation: true in 0 of 16 passes)`."""
    return f"{choice.where} decides by `{choice.code}` ({choice.outcome})"


def largest_of(facts: Facts, mode: str = "eval") -> tuple[str, ...]:
    """Return a note that a cost is that of the largest pass in a mode, where values decide."""
    passes = facts.passes
    count = 1 if passes is None else passes.training if mode == "train" else passes.evaluation
    return (f"values decide what runs: the largest of {count} passes",) if count > 1 else ()
