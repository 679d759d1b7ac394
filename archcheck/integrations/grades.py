"""Grades: what a report says to the student whose model it judges, without a word about the contract.

`grade_of` makes a small `Grade` of a report, so that the report itself need not be kept. Every grading format and the
pages of feedback are made of grades.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archcheck.contract import Stated, SubjectEntry
from archcheck.contract.subject_patterns import own_folder
from archcheck.foundation.source_place import Where
from archcheck.integrations.plain_words import advice, next_step, reason_of, said
from archcheck.render.wording import one_line, place_of
from archcheck.rules.base import rule_name
from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Verdict, sum_points

MOST = 10
"""Most problems of one rule that a grade keeps. A hostile model may have millions."""
_UNKNOWN = "This could not be judged."
_MEMBER = re.compile(r"(?P<family>[^\[]+)\[(?P<member>.+)\]", re.DOTALL)
_MODEL = re.compile(r"(?P<file>.+?)(?::[^/:]*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend: what was found, in which layer, where (a line from 1), and what to do."""

    message: str
    layer: str | None
    where: Where | None
    todo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One rule in a grade. `points` and `earned` are `None` for a rule without points.

    `title` is what was asked, and `because` the reason for it. `found` is what was found. `hidden` is the number of
    further problems beyond `MOST`.
    """

    rule: str
    instance: str
    title: str
    because: str | None
    verdict: Verdict
    points: float | None
    earned: float | None
    found: str
    problems: tuple[Problem, ...] = ()
    hidden: int = 0

    @property
    def fails(self) -> bool:
        """Whether the rule is not kept, and no waiver accepts it."""
        return self.verdict not in (Verdict.KEPT, Verdict.WAIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The grade of one submission. `points` is the worth of all its rules, `None` if none has points.

    `reason` and `todo` are empty unless the submission could not be measured; `kind` is then that of its error. `file`
    is its model file, from the current folder, if it is known. `assignment` is the name of the subject that has the
    pattern, or empty.
    """

    student: str
    assignment: str
    subject: str
    file: str | None
    points: float | None
    earned: float | None
    items: tuple[Item, ...]
    reason: str = ""
    todo: str = ""
    kind: str = ""


def grade_of(report: Report, entry: SubjectEntry | None = None, root: str = "") -> Grade:
    """Return the grade of a report. `entry` is the subject as its contract in the folder `root` states it, if known.

    Without it, a submission that could not be measured has no items, because its report names no rules.
    """
    named = _MEMBER.fullmatch(report.subject)
    member, family = (entry.member, entry.family) if entry else (named and named["member"], named and named["family"])
    if report.error and entry:
        items = tuple(_unjudged(stated) for stated in entry.rules)
    else:
        items = tuple(_item(report, outcome) for outcome in report.outcomes)
    reason, todo = reason_of(report.error.kind, _from_own_folder(report.error, entry)) if report.error else ("", "")
    return Grade(
        student=member or report.subject,
        assignment=(family or "") if member else "",
        subject=report.subject,
        file=_file_of(report, entry, root),
        points=report.points,
        earned=None if report.points is None else report.earned or 0.0,
        items=items,
        reason=reason,
        todo=todo,
        kind=report.error.kind if report.error else "",
    )


def total(grades: Iterable[Grade]) -> tuple[float, float]:
    """Return the earned points and all points of several grades."""
    every = tuple(grades)
    return sum_points(each.earned or 0 for each in every), sum_points(each.points or 0 for each in every)


def _file_of(report: Report, entry: SubjectEntry | None, root: str) -> str | None:
    """Return the file of the model as seen from the current folder; that of the subject's class if there are facts."""
    if report.facts and report.facts.subject.where:
        return report.facts.subject.where.file
    model = _MODEL.fullmatch(entry.model) if entry else None
    if model is None:
        return None
    return Path(os.path.relpath(Path(root, model["file"]))).as_posix()


def _from_own_folder(error: MeasurementFailure, entry: SubjectEntry | None) -> str:
    """Return the message of an error that names files from the folder of the student's model, as the student does:
    `model.py`, not `students/*/model.py`.
    """
    if entry is None:
        return error.message
    folder = posixpath.dirname(entry.model) if entry.member else own_folder(entry.model)
    return error.message.replace(f"{folder}/", "") if folder else error.message


def _item(report: Report, outcome: Outcome) -> Item:
    own = _own(outcome) if outcome.fails else ()
    verdict = outcome.verdict if own or not outcome.fails else Verdict.KEPT  # else only a waiver is stale
    return Item(
        rule=outcome.rule,
        instance=outcome.instance,
        title=one_line(outcome.title or outcome.instance),
        because=outcome.because,
        verdict=verdict,
        points=outcome.points,
        earned=outcome.earned,
        found=_found(outcome, own),
        problems=tuple(_problem(report, outcome, finding) for finding in own[:MOST]),
        hidden=len(own[MOST:]),
    )


def _own(outcome: Outcome) -> tuple[Finding | None, ...]:
    """Return the findings about the model: those about the contract are for its author."""
    about_model = tuple(each for each in outcome.findings if not _in_contract(each.where, outcome))
    return about_model if outcome.verdict is Verdict.BROKEN else about_model or (None,)


def _in_contract(where: Where | None, outcome: Outcome) -> bool:
    return where is not None and outcome.contract is not None and where.file == outcome.contract.file


def _found(outcome: Outcome, own: Sequence[Finding | None]) -> str:
    if outcome.verdict is Verdict.WAIVED:
        return "Your teacher accepts this as it is."
    if outcome.fails and not own:
        outcome = replace(outcome, findings=(), verdict=Verdict.KEPT)
    return said(outcome.summary, outcome.rule) or _UNKNOWN


def _problem(report: Report, outcome: Outcome, finding: Finding | None) -> Problem:
    where = place_of(report, outcome, finding)
    if _in_contract(where, outcome):
        where = report.facts.subject.where if report.facts else None
    text = finding.message if finding else outcome.summary
    return Problem(
        message=said(text, outcome.rule) or _UNKNOWN,
        layer=finding.layer or None if finding else None,
        where=where,
        todo=advice(finding.fix if finding else None, outcome.rule) or next_step(outcome.verdict),
    )


def _unjudged(stated: Stated) -> Item:
    """Return the item of a rule whose subject could not be measured."""
    rule = stated.rule
    return Item(
        rule=rule_name(rule),
        instance=stated.instance,
        title=one_line(rule.title or stated.instance),
        because=rule.because,
        verdict=Verdict.ERROR,
        points=rule.worth,
        earned=None if rule.worth is None else 0.0,
        found="Not judged, because the submission could not be measured.",
    )


def own_place(grade: Grade, where: Where | None) -> str:
    """Return a place as the student knows it: `model.py, line 3`, from the folder of the student's model."""
    if where is None:
        return ""
    start = posixpath.dirname(grade.file or "")
    file = posixpath.relpath(where.file, start or ".") if grade.file else where.file
    return f"{posixpath.basename(file) if file.startswith('..') else file}, line {where.line}"


def item_lines(grade: Grade, item: Item) -> Iterator[str]:
    """Yield what a student reads of a rule: why it was asked, what was found and where, and what to do."""
    if item.because:
        yield f"Asked: {item.because}"
    if not item.problems:
        yield f"Found: {item.found}"
    for problem in item.problems:
        yield f"Found: {problem.message}"
        if place := own_place(grade, problem.where):
            yield f"Where: {place}" + (f", layer {problem.layer}" if problem.layer else "")
        yield f"What to do: {problem.todo}"
    if item.hidden:
        yield f"There are {item.hidden:,} more places like these."


def reason_lines(grade: Grade) -> Iterator[str]:
    """Yield why a submission could not be measured, and what to do; nothing if it was measured."""
    if grade.reason:
        yield f"Your submission could not be measured, so it earns nothing. {grade.reason}"
        yield f"What to do: {grade.todo}"


def number(points: float) -> float:
    """Return points as an integer where they are whole, so that they are written as people write them."""
    return int(points) if float(points).is_integer() else points
