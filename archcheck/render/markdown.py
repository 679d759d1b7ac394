"""The table for a job summary or a comment on a pull request, in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from archcheck.facts.facts import Facts
from archcheck.foundation.words import amount
from archcheck.render import tensor_file, tool_comparison
from archcheck.render.options import Options
from archcheck.render.outcome_lines import MOST
from archcheck.render.totals import decided
from archcheck.render.wording import fix_of, listed, one_line, place_of, points_text, tally, totals, unmeasured
from archcheck.rules.findings import Outcome, Report, Verdict, plain

_ENTITIES = {character: f"&#{ord(character)};" for character in "&<>|`$/."}
# GitHub looks for mentions, references and emoji in the finished page, where an entity is a character like
# any other; a space of no width after the first character hides them from it.
_ENTITIES |= {character: f"{character}&#8203;" for character in "@#:"}
_ACTIVE = re.compile(r"[\\*_\[\]~#!&<>@|`$]|(?<=:)/(?=/)|(?<=www)\.|:(?=[\w+-]+:)", re.IGNORECASE)
_VERDICTS = ("kept", "broken", "could not be checked")


def escape(text: str) -> str:
    """Return `text` so that GitHub shows it literally: no markup, link, mention, cell or line break."""
    return _ACTIVE.sub(lambda found: _ENTITIES.get(found.group(), rf"\{found.group()}"), one_line(text))


def render_markdown(reports: Sequence[Report], options: Options) -> str:
    """Return a heading, the totals of the run, and a table of rules for every subject."""
    worst = max((report.exit_code for report in reports), default=0)
    judged = worst or any(report.outcomes for report in reports)  # without a rule there is no verdict
    blocks = [f"### archcheck: {_VERDICTS[worst]}", tally(reports)] if judged else ["### archcheck"]
    for report in reports:
        blocks += _subject(report)
    return "\n\n".join(blocks) + "\n"


def _subject(report: Report) -> Iterator[str]:
    yield f"#### {escape(report.subject)}"
    if report.error:
        yield f"**{escape(unmeasured(report))}**"
    if totals := _totals(report):
        yield totals
    if report.facts and report.facts.passes:
        yield "\n".join(f"- {line.label}: {escape(line.text)}" for line in decided(report.facts))
    if report.facts:
        yield from _tools(report.facts)
    if report.outcomes:
        yield _rules(report)


def _totals(report: Report) -> str:
    if report.weights:
        bad = [f"{each.not_finite:,} values in {each.name} are not finite" for each in report.weights.not_finite]
        return ", ".join([f"{tensor_file.summary(report.weights)}, structure unknown", *map(escape, bad)])
    if report.facts is None:
        return ""
    facts = report.facts
    parts = [totals(facts)]
    if facts.params.hidden:
        parts.append(f"**{facts.params.hidden_total:,} elements of hidden weights**")
    if facts.cost.uncounted:
        parts.append(f"cost unknown of {escape(listed(facts.cost.uncounted))}")
    return ", ".join(parts)


def _tools(facts: Facts) -> Iterator[str]:
    yield from (escape(each.text) for each in tool_comparison.lines(facts))
    for found in tool_comparison.tables(facts):
        yield table(found.titles, [map(escape, row.cells) for row in found.rows])


def table(titles: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    head, *lines = (f"| {' | '.join(cells)} |" for cells in (titles, *rows))
    return "\n".join([head, f"|{'---|' * len(titles)}", *lines])


def _rules(report: Report) -> str:
    """Return the table of rules, with a column of points where rules carry some."""
    titles = ["rule", "verdict", "found", "limit", "note"]
    graded = any(outcome.points is not None for outcome in report.outcomes)
    if graded:
        titles.insert(2, "points")
    return table(titles, [_row(report, outcome, graded) for outcome in report.outcomes])


def _row(report: Report, outcome: Outcome, graded: bool) -> list[str]:
    verdict = f"**{outcome.verdict.value}**" if outcome.fails else outcome.verdict.value
    unit = f" {outcome.unit}" if outcome.unit else ""
    found = "" if outcome.found is None else plain(outcome.found) + unit
    limit = "" if outcome.limit is None else plain(outcome.limit)
    cells = [escape(outcome.instance), verdict, escape(found), escape(limit), escape(_note(report, outcome))]
    if graded:
        cells.insert(2, points_text([outcome]))
    return cells


def _waived(outcome: Outcome) -> str:
    messages = [finding.message for finding in outcome.waived[:MOST]]
    rest = outcome.waived[MOST:]
    return "; ".join([*messages, *([f"{len(rest):,} more"] if rest else [])]) + f" (waived: {outcome.waiver})"


def _note(report: Report, outcome: Outcome) -> str:
    if not outcome.fails:
        said = _waived(outcome) if outcome.verdict is Verdict.WAIVED else outcome.kept
        return "; ".join(filter(None, (said, *outcome.notes)))
    finding = outcome.findings[0] if outcome.findings else None
    where = place_of(report, outcome, finding)
    waived = f"{amount(len(outcome.waived), 'findings')} waived: {outcome.waiver}" if outcome.waived else ""
    parts = [outcome.summary, f"at {where}" if where else "", outcome.because or "", fix_of(outcome, finding), waived]
    return "; ".join(filter(None, parts))
