"""The verdicts of reports as text without colours, on lines of any length: what pipes and logs get.

This writes what `text` writes there, without rich, whose import takes longer than to judge most subjects again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archcheck.render.options import Options
from archcheck.render.outcome_lines import detail_lines
from archcheck.render.wording import one_line, points_text, tally, unmeasured
from archcheck.rules.findings import Outcome, Report, Verdict

UNBOUNDED = 100_000
"""Columns of a terminal that never wraps."""
LABEL = max(map(len, Verdict))
"""Columns that a label takes."""
_GAP = "  "
_MOST_COLUMNS = 2
"""Columns of a terminal that one character takes at most."""


def unwrapped_text(reports: Sequence[Report], options: Options) -> str | None:
    """Return the outcomes of every report and the line that counts them, or `None` for what only rich can lay out.

    That are facts, tables of tensors, colours, and lines that a terminal would break.
    """
    if not options.outcomes_only or options.color or options.width or any(report.weights for report in reports):
        return None
    lines = [line.rstrip() for report in reports for line in _report(report)]
    lines += ["", one_line(tally(reports)).rstrip()]
    if max(map(len, lines)) * _MOST_COLUMNS > UNBOUNDED:
        return None
    return "".join(f"{line}\n" for line in lines)


def headline(report: Report, outcome: Outcome) -> str:
    """Return what the first line of an outcome says behind the verdict and the rule."""
    points = f" ({text})" if (text := points_text([outcome])) else ""
    return f"{report.subject}: {outcome.summary}{points}"


def widest_instance(report: Report) -> int:
    """Return the characters of the longest rule of a report that has outcomes."""
    return max(len(one_line(outcome.instance)) for outcome in report.outcomes)


def _report(report: Report) -> Iterator[str]:
    if report.error:
        yield _labelled(Verdict.ERROR.value, f"{report.subject}: {unmeasured(report)}")
    widest = widest_instance(report) if report.outcomes else 0
    for outcome in report.outcomes:
        instance = one_line(outcome.instance)
        padding = " " * (widest - _columns(instance))
        yield _labelled(outcome.verdict.value, instance + padding + _GAP + one_line(headline(report, outcome)))
        for label, text in detail_lines(report, outcome):
            yield " " * (LABEL + len(_GAP)) + _labelled(label, text)


def _labelled(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{_GAP}{one_line(text)}"


def _columns(text: str) -> int:
    """Return the columns that a text takes; only rich knows that of other than ASCII characters."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
