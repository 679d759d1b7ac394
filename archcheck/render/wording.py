"""The wording of facts and findings, for all formats.

Names of layers, types and models are untrusted: `one_line` makes any text safe to print.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import Shape
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import amount, first_of, shape_text, visible
from archcheck.rules.findings import Finding, Outcome, Report, Verdict, plain, sum_points

_DIGITS = re.compile(r"\d+")
_BREAK = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


def one_line(text: str) -> str:
    r"""Return `text` on one line, with control characters written out.

    >>> one_line("two\n  lines"), one_line("\x1b[31mred")
    ('two lines', '\\x1b[31mred')
    """
    return visible(_BREAK.sub(" ", text))


def shapes_text(shapes: Sequence[Shape]) -> str:
    """Return the first shape, and how many more there are."""
    if not shapes:
        return ""
    return shape_text(shapes[0]) + (f" (+{len(shapes) - 1})" if len(shapes) > 1 else "")


def listed(items: Sequence[str], most: int = 8) -> str:
    """Return at most `most` items and the number of the others. Items that differ only in numbers are merged."""
    if len(items) > most:
        series = Counter(_DIGITS.sub("*", item) for item in items)
        items = [f"{name} x{times:,}" if times > 1 else name for name, times in series.items()]
    return first_of(items, most)


def place_of(report: Report, outcome: Outcome, finding: Finding | None) -> Where | None:
    """Return the place to look at: that of the finding, else of its layer, else of the subject, else of the contract.

    For a rule that could not be judged, the contract comes before the subject, because the contract asks for what is
    missing.
    """
    facts = report.facts
    if finding and finding.where:
        return finding.where
    if outcome.verdict is Verdict.ERROR and (stated := stated_at(outcome)):
        return stated
    if facts and finding and finding.layer is not None:
        return facts.built_at(finding.layer) or stated_at(outcome)
    return (facts.subject.where if facts else None) or stated_at(outcome)


def stated_at(outcome: Outcome) -> Where | None:
    """Return the line of the contract that states the rule; a rule given in Python has none."""
    return outcome.contract if outcome.contract and outcome.contract.line else None


def from_root(file: str, base: str) -> str:
    """Return `file`, relative to `base`, as seen from the root of the repository; absolute ones stay as they are.

    >>> from_root("model.py", "week 3"), from_root("../shared/model.py", "week 3")
    ('week 3/model.py', 'shared/model.py')
    """
    return posixpath.normpath(posixpath.join(base, file))


def builds(facts: Facts | None, finding: Finding | None, place: Where | None) -> str:
    """Return the name of the layer or class at the place of a finding: `final.conv (Conv2d)`, `class Net`."""
    if facts is None or finding is None:
        return ""
    layer = facts.layer(finding.layer or "")
    if not finding.layer:
        return f"class {layer.type}" if layer and place == facts.subject.where else ""
    return f"{finding.layer} ({layer.type})" if layer else finding.layer


def fix_of(outcome: Outcome, finding: Finding | None) -> str:
    """Return the next step, with the line of the contract that states the rule."""
    place = stated_at(outcome)
    stated = f"{outcome.rule} at {place}" if place else outcome.rule
    if finding and finding.fix:
        return _with_line(finding.fix, outcome, place)
    if outcome.verdict is Verdict.VACUOUS:
        return f"drop {stated}, or give it `allow-empty = true`"
    if outcome.verdict is Verdict.ERROR:
        return f"remove this cause, or drop {stated}"
    return f"mend the model, or change {stated}"


def finding_lines(report: Report, outcome: Outcome, finding: Finding | None) -> Iterator[str]:
    """Yield the lines about a finding: its message, its layer, the reason of the author, and the next step."""
    yield finding.message if finding else outcome.summary
    if built := builds(report.facts, finding, place_of(report, outcome, finding)):
        yield f"where: {built}"
    if outcome.because:
        yield f"why: {outcome.because}"
    if fix := fix_of(outcome, finding):
        yield f"fix: {fix}"


def _with_line(fix: str, outcome: Outcome, place: Where | None) -> str:
    """Return `fix` with the line of the rule, unless the fix names a place in the contract itself."""
    if place is None or f"{place.file}:" in fix:
        return fix
    return f"{fix} at {place}" if fix.endswith(outcome.rule) else f"{fix}; {outcome.rule} stands at {place}"


def unmeasured(report: Report) -> str:
    """Return why there are no facts; empty if there are."""
    error = report.error
    return f"could not be measured ({error.kind}): {error.message}" if error else ""


def totals(facts: Facts) -> str:
    """Return `13,086 parameters, 1,328,360 multiply-accumulates on 1x1x28x28`."""
    inputs = ", ".join(shape_text(tensor.shape) for tensor in facts.shape.inputs)
    macs = f"{facts.cost.macs:,} multiply-accumulates" + (f" on {inputs}" if inputs else "")
    return f"{amount(facts.params.total, 'parameters')}, {macs}"


def tally(reports: Iterable[Report]) -> str:
    """Return `12 rules: 11 kept, 1 broken`, with the subjects, the failed subjects and the points if there are any."""
    every = tuple(reports)
    outcomes = [outcome for report in every for outcome in report.outcomes]
    counts = Counter(outcome.verdict for outcome in outcomes)
    verdicts = ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts[verdict])
    subjects = f"{amount(len(every), 'subjects')}, " if len(every) > 1 else ""
    line = f"{subjects}{amount(len(outcomes), 'rules')}" + (f": {verdicts}" if verdicts else "")
    failed = sum(report.error is not None for report in every)
    line += f"; {amount(failed, 'subjects')} could not be measured" if failed else ""
    points = [report for report in every if report.points is not None]
    return line + (f"; earned {points_text(points)}" if points else "")


def points_text(carriers: Sequence[Outcome | Report]) -> str:
    """Return `8.5 of 10 points`, of rules or of whole subjects; empty when they carry none."""
    worth = [carrier for carrier in carriers if carrier.points is not None]
    earned = sum_points(carrier.earned or 0 for carrier in worth)
    total = sum_points(carrier.points or 0 for carrier in worth)
    return f"{plain(earned)} of {plain(total)} {'point' if total == 1 else 'points'}" if worth else ""
