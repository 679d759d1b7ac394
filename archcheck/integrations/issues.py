"""The problems of all submissions as a flat list, for receivers that show problems at lines of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.integrations.grades import Grade, Item, Problem
from archcheck.render.wording import from_root, one_line

UNMEASURED = "not-measured"
"""The name of the check whose issue is a submission that could not be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One problem. `kind` is `unmeasured` or the verdict, `path` is from the root of the repository, and `line` counts
    from 1. `text` is all that is said, and `message` what was found.
    """

    subject: str
    rule: str
    kind: str
    layer: str | None
    message: str
    text: str
    path: str
    line: int


def issues(grades: Sequence[Grade], base: str = "") -> Iterator[Issue]:
    """Yield an issue for each problem, and one for each submission that could not be measured.

    A problem without a place lies at the first line of the model; without a file, at a name made of the subject.
    """
    for grade in grades:
        if grade.reason:
            text = one_line(f"{grade.student}: {grade.reason} {grade.todo}")
            yield _issue(grade, None, None, text, base)
            continue
        for item in grade.items:
            for problem in item.problems if item.fails else ():
                text = f"{item.title}: {problem.message} {problem.todo}"
                yield _issue(grade, item, problem, one_line(text), base)


def _issue(grade: Grade, item: Item | None, problem: Problem | None, text: str, base: str) -> Issue:
    where = problem.where if problem else None
    return Issue(
        subject=grade.subject,
        rule=item.rule if item else UNMEASURED,
        kind=item.verdict.value if item else "unmeasured",
        layer=problem.layer if problem else None,
        message=problem.message if problem else grade.reason,
        text=text,
        path=one_line(from_root(where.file if where else grade.file or grade.student, base)),
        line=max(1, where.line) if where else 1,
    )
