"""The number of another tool, held against a limit: what an organiser counts, and what that misses."""

from __future__ import annotations

from archcheck.facts.conventions.comparison import counted_as
from archcheck.facts.cross_checks import ToolCount
from archcheck.facts.facts import Facts
from archcheck.facts.selectors import selects
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.bounds import excess
from archcheck.rules.queries.per_extent import Per, Shared, shared
from archcheck.rules.queries.scope import reach

_SHOWN = 3
"""How many differences a note tells."""


def held_to_tool(rule: Rule, facts: Facts, tool: str, limit: int, per: Per) -> Result:
    """Compare the number that `tool` prints with `limit`; a note says the true one, and the largest differences.

    With `per`, its share is compared.

    Raises:
        NotMeasured: the tool fails at this network, or its calls were not recorded.
    """
    count = counted_as(facts, tool, rule.on)
    if count.total is None:
        raise NotMeasured(
            f"{tool} {count.version} prints no number for this network: {count.error}",
            where=facts.subject.where,
            fix="change what it fails at, or leave `as` out to bound the true multiply-accumulates",
        )
    ops = [op for op in facts.ops if selects(rule.on, op, facts)]
    share = shared(rule, per, facts, ops, Shared(found=count.total, unit=f"{count.unit} of {tool}"))
    return Result(
        examined=reach(facts, rule.on),
        findings=excess(rule, facts, share.found, limit, share.unit, aside=share.aside),
        found=share.found,
        limit=limit,
        unit=share.unit,
        notes=(*share.notes, *_notes(facts, count)),
    )


def _notes(facts: Facts, count: ToolCount) -> list[str]:
    notes = [f"archcheck counts {amount(count.macs, 'multiply-accumulates')}"]
    groups: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for each in count.differences:
        groups.setdefault((each.op, each.reason), []).append((each.layer, each.ours, each.theirs))
    ranked = sorted(groups.items(), key=lambda item: -abs(sum(ours - theirs for _, ours, theirs in item[1])))
    for (op, reason), members in ranked[:_SHOWN]:
        ours, theirs = sum(each[1] for each in members), sum(each[2] for each in members)
        others = f" and {len(members) - 1:,} more" if len(members) > 1 else ""
        notes.append(f"{op} in {members[0][0] or 'the model itself'}{others}: {theirs:,} for {ours:,}; {reason}")
    if len(ranked) > _SHOWN:
        notes.append(f"`archcheck report --as {count.tool}` lists {amount(len(ranked) - _SHOWN, 'differences')} more")
    if facts.passes is not None:
        notes.append("values decide what runs: the pass on the example counts")
    return notes
