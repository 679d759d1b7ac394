"""The labelled lines below the headline of an outcome: where, most, why, fix and more."""

from __future__ import annotations

from collections.abc import Iterator

from archcheck.foundation.words import amount
from archcheck.render.wording import builds, fix_of, place_of
from archcheck.rules.findings import Finding, Outcome, Report

MOST = 10
"""Most findings of one rule that are written out."""


def detail_lines(report: Report, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield the labelled lines of an outcome that fails. For any other, yield its notes and its waived findings."""
    if outcome.fails:
        first = outcome.findings[0] if outcome.findings else None
        yield from _where(report, outcome, first)
        for position, line in enumerate(outcome.most):
            yield "" if position else "most", line
        if outcome.because:
            yield "why", f'"{outcome.because}"'
        if fix := fix_of(outcome, first):
            yield "fix", fix
        yield from _further(report, outcome)
    if outcome.waived and (outcome.fails or outcome.waived[1:]):  # a single one is in the headline
        yield from _waived(report, outcome)
    for note in outcome.notes:
        yield "note", note
    if outcome.fails:
        yield "more", f"archcheck explain {outcome.rule}"


def _further(report: Report, outcome: Outcome) -> Iterator[tuple[str, str]]:
    for before, finding in zip(outcome.findings, outcome.findings[1:MOST], strict=False):
        yield "also", finding.message
        yield from _where(report, outcome, finding)
        if finding.fix and finding.fix != before.fix:
            yield "fix", finding.fix
    if rest := outcome.findings[MOST:]:
        yield "also", f"{len(rest):,} more; --format json has them all"


def _waived(report: Report, outcome: Outcome) -> Iterator[tuple[str, str]]:
    yield "waived", f"{amount(len(outcome.waived), 'findings')}: {outcome.waiver}"
    for finding in outcome.waived[:MOST]:
        place = place_of(report, outcome, finding)
        yield "", finding.message + (f" at {place}" if place else "")
    if rest := outcome.waived[MOST:]:
        yield "", f"{len(rest):,} more; --format json has them all"


def _where(report: Report, outcome: Outcome, finding: Finding | None) -> Iterator[tuple[str, str]]:
    place = place_of(report, outcome, finding)
    if place:
        yield "where", f"{place}  {builds(report.facts, finding, place)}".rstrip()
