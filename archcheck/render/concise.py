"""One line per finding, or per outcome without findings, for editors, `grep` and `sort`:

    model.py:31: broken max-params mnist: 21,482 parameters, limit 19,999 (+1,483, +7.4 %)

The form is `PLACE: VERDICT RULE SUBJECT: MESSAGE`, with `-` for a missing place or rule. The verdict is one of those of
a report. A subject that could not be measured is an `error` without a rule. A subject that was measured without a
contract is `measured`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archcheck.foundation.source_place import Where
from archcheck.render.options import Options
from archcheck.render.tensor_file import summary
from archcheck.render.wording import one_line, place_of, totals, unmeasured
from archcheck.rules.findings import Finding, Outcome, Report, Verdict


def render_concise(reports: Sequence[Report], options: Options) -> str:
    """Return the lines in the order of the report; files are relative to the current folder."""
    return "".join(line + "\n" for report in reports for line in _lines(report))


def _lines(report: Report) -> Iterator[str]:
    if report.error:
        yield _line(None, Verdict.ERROR.value, "-", report, unmeasured(report))
    if report.weights:
        yield _line(None, "measured", "-", report, f"{summary(report.weights)}, structure unknown")
    for outcome in report.outcomes:
        yield from _of_outcome(report, outcome)
    if report.facts and not report.outcomes:
        yield _line(report.facts.subject.where, "measured", "-", report, totals(report.facts))


def _of_outcome(report: Report, outcome: Outcome) -> Iterator[str]:
    waived = Verdict.WAIVED.value
    for finding in outcome.findings:
        yield _found(report, outcome, finding, outcome.verdict.value, finding.message)
    for finding in outcome.waived:
        yield _found(report, outcome, finding, waived, f"{finding.message} (waived: {outcome.waiver})")
    if not outcome.findings and not outcome.waived:
        yield _found(report, outcome, None, outcome.verdict.value, outcome.summary)


def _found(report: Report, outcome: Outcome, finding: Finding | None, verdict: str, message: str) -> str:
    return _line(place_of(report, outcome, finding), verdict, outcome.instance, report, message)


def _line(place: Where | None, verdict: str, rule: str, report: Report, message: str) -> str:
    return one_line(f"{place or '-'}: {verdict} {rule} {report.subject}: {message}")
