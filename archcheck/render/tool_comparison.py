"""Render the counts of other tools: a line for the totals, and a table of differences grouped by reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts.cross_checks import UNEXPLAINED, CrossCheck, Departure, Difference, ToolCount
from archcheck.facts.facts import Facts
from archcheck.foundation.words import amount
from archcheck.render.wording import listed

SHOWN = 12
"""Most rows that are written out; `--format json` has them all."""
_MODEL = "(the model)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Differences of one operator that have one reason, and the sums of both counts."""

    layers: str
    op: str
    ours: str
    theirs: str
    reason: str
    alarming: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of the columns."""
        return self.layers, self.op, self.ours, self.theirs, self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one tool counts in all."""

    label: str
    text: str
    doubtful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where a tool counts otherwise."""

    tool: str
    rows: tuple[Row, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the columns."""
        return "layer", "operator", "archcheck", self.tool, "why"


def lines(facts: Facts) -> Iterator[Line]:
    """Yield the line of each tool whose number was asked for."""
    if facts.cross_check:
        yield Line(label="cross-check", text=verdict(facts.cross_check), doubtful=is_doubtful(facts.cross_check))
    for each in facts.tool_counts:
        yield Line(label=f"as {each.tool}", text=tool_verdict(each), doubtful=each.total is None)


def tables(facts: Facts) -> Iterator[Table]:
    """Yield the table of each tool that counts something otherwise."""
    if facts.cross_check and facts.cross_check.differences:
        yield Table(tool="fvcore", rows=tuple(rows(facts.cross_check)))
    for each in facts.tool_counts:
        if each.differences:
            yield Table(tool=each.tool, rows=tuple(tool_rows(each)))


def tool_verdict(found: ToolCount) -> str:
    """Return the number of a tool beside the true one, or why the tool has none."""
    if found.total is None:
        return f"{found.tool} {found.version} prints no number: {found.error}"
    true = f"archcheck counts {found.macs:,} multiply-accumulates"
    return f"{found.total:,} {found.unit}, as {found.tool} {found.version} prints; {true}"


def tool_rows(found: ToolCount) -> Iterator[Row]:
    """Return the rows of the table of a tool's differences, the largest first."""
    groups: defaultdict[tuple[str, str], list[Departure]] = defaultdict(list)
    for each in found.differences:
        groups[each.op, each.reason].append(each)
    ranked = sorted(groups.values(), key=lambda own: -abs(sum(each.ours - each.theirs for each in own)))
    yield from _shown([_row(own[0].op, own, own[0].reason, [each.theirs for each in own]) for own in ranked])


def verdict(check: CrossCheck) -> str:
    """Return the total of fvcore and its distance from our total."""
    if check.error is not None or check.total_fvcore is None:
        return f"fvcore could not trace it: {check.error}"
    if not check.differences:
        return f"fvcore counts the same: {check.total_ours:,} in all, {amount(check.compared, 'operators')}"
    flops = _beside(check.total_ours, check.total_fvcore, "in all")
    activations = _beside(check.activations_ours, check.activations_fvcore or 0, "activations")
    return f"fvcore counts {flops}, and {activations}"


def _beside(ours: int, fvcore: int, noun: str) -> str:
    if ours == fvcore:
        return f"the same {fvcore:,} {noun}"
    return f"{fvcore:,} {noun} ({abs(fvcore - ours):,} {'more' if fvcore > ours else 'fewer'})"


def is_doubtful(check: CrossCheck) -> bool:
    """Whether a difference is unexplained."""
    return check.error is not None or not all(difference.explained for difference in check.differences)


def rows(check: CrossCheck) -> Iterator[Row]:
    """Yield the rows of the table of differences. The last row counts those that are left out."""
    groups: defaultdict[tuple[str, str, str], list[Difference]] = defaultdict(list)
    for difference in sorted(check.differences, key=lambda each: each.explained):
        groups[difference.quantity, difference.op, difference.reason].append(difference)
    found = []
    for (quantity, op, reason), own in groups.items():
        outputs = " (activations)" if quantity == "activations" else ""
        found.append(_row(op + outputs, own, reason, [each.fvcore for each in own]))
    yield from _shown(found)


def _shown(found: Sequence[Row]) -> Iterator[Row]:
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        rest = f"{len(found) - SHOWN:,} more; --format json has them all"
        yield Row(layers=rest, op="", ours="", theirs="", reason="")


def _row(op: str, members: Sequence[Difference | Departure], reason: str, theirs: Iterable[int]) -> Row:
    return Row(
        layers=listed([each.layer or _MODEL for each in members], most=1),
        op=op,
        ours=f"{sum(each.ours for each in members):,}",
        theirs=f"{sum(theirs):,}",
        reason=reason,
        alarming=reason == UNEXPLAINED,
    )
