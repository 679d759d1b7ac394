"""Render the counts of fvcore: a line for the totals, and a table of differences grouped by reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from archcheck.facts.cross_checks import UNEXPLAINED, CrossCheck, Difference
from archcheck.foundation.words import amount
from archcheck.render.wording import listed

SHOWN = 12
"""Most rows that are written out; `--format json` has them all."""
TITLES = ("layer", "operator", "archcheck", "fvcore", "why")
FIGURES = ("archcheck", "fvcore")
_MODEL = "(the model)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Differences of one operator that have one reason, and the sums of both counts."""

    layers: str
    op: str
    ours: str
    fvcore: str
    reason: str
    alarming: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row, in the order of `TITLES`."""
        return self.layers, self.op, self.ours, self.fvcore, self.reason


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
    for number, members in enumerate(groups.values()):
        if number == SHOWN:
            rest = f"{len(groups) - SHOWN:,} more; --format json has them all"
            yield Row(layers=rest, op="", ours="", fvcore="", reason="")
            return
        yield _row(members)


def _row(members: list[Difference]) -> Row:
    first = members[0]
    outputs = " (activations)" if first.quantity == "activations" else ""
    return Row(
        layers=listed([each.layer or _MODEL for each in members], most=1),
        op=first.op + outputs,
        ours=f"{sum(each.ours for each in members):,}",
        fvcore=f"{sum(each.fvcore for each in members):,}",
        reason=first.reason,
        alarming=first.reason == UNEXPLAINED,
    )
