"""Annotations for a GitHub workflow: commands that the runner reads from the standard output of a step.

A step shows at most ten errors. Nine findings and a notice with the number of the others stay below that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from archcheck.foundation.source_place import Where
from archcheck.render.options import Options
from archcheck.render.wording import finding_lines, from_root, one_line, place_of, unmeasured
from archcheck.rules.findings import Finding, Outcome, Report

MOST = 9
"""Most annotations. The rest is only counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A message at a place; the lines of `message` are shown below the title."""

    title: str
    message: tuple[str, ...]
    where: Where | None = None
    level: str = "error"

    def command(self, base: str = "") -> str:
        """Return the line that the runner understands."""
        properties = {"title": self.title}
        if self.where:
            properties = {"file": from_root(self.where.file, base), "line": str(self.where.line), **properties}
        given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
        return f"::{self.level} {given}::{_data(self.message)}"


def render_github(reports: Sequence[Report], options: Options) -> str:
    """Return an annotation for each finding that keeps the run from passing; nothing when it passes."""
    groups = [group for report in reports for group in _groups(report)]
    # Each broken rule appears once before any appears twice. Equal annotations at one place appear once.
    turns = chain.from_iterable(zip_longest(*groups))
    found = list(dict.fromkeys(annotation for annotation in turns if annotation))
    shown = found[:MOST]
    if rest := len(found[MOST:]):
        text = f"{rest:,} more; the saved report has them all"
        shown.append(Annotation(title="archcheck", message=(text,), level="notice"))
    return "".join(annotation.command(options.base) + "\n" for annotation in shown)


def _groups(report: Report) -> Iterator[Iterable[Annotation]]:
    if report.error:
        yield (Annotation(title=f"archcheck: {report.subject}", message=(unmeasured(report),)),)
    for outcome in report.outcomes:
        if outcome.fails:
            yield _of_outcome(report, outcome)


def _of_outcome(report: Report, outcome: Outcome) -> Iterator[Annotation]:
    findings: Sequence[Finding | None] = outcome.findings or (None,)
    for finding in findings:
        yield Annotation(
            title=f"{outcome.verdict.value} {outcome.instance} ({report.subject})",
            message=tuple(finding_lines(report, outcome, finding)),
            where=place_of(report, outcome, finding),
        )


def _data(lines: Sequence[str]) -> str:
    return "%0A".join(one_line(line).replace("%", "%25") for line in lines)


def _property(value: str) -> str:
    escaped = one_line(value).replace("%", "%25")
    return escaped.replace(":", "%3A").replace(",", "%2C")
