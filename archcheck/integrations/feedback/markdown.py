"""The pages as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from archcheck.foundation.words import amount
from archcheck.integrations.class_summary import Summary
from archcheck.integrations.feedback.words import done_text, place_text, points_of, state_of
from archcheck.integrations.file_names import file_name
from archcheck.integrations.grades import Grade, Item
from archcheck.render.markdown import escape, table


def student_page(grade: Grade) -> str:
    """Return the page of a student."""
    blocks = [f"# {escape(grade.student)}", f"**{done_text(grade)}**" + _of(grade.assignment)]
    if grade.reason:
        blocks += [
            f"Your submission could not be measured, so it earns nothing. {escape(grade.reason)}",
            f"- What to do: {escape(grade.todo)}",
        ]
    for item in grade.items:
        blocks += _item(grade, item)
    return "\n\n".join(blocks) + "\n"


def _of(assignment: str) -> str:
    return f" · {escape(assignment)}" if assignment else ""


def _item(grade: Grade, item: Item) -> Iterator[str]:
    yield f"## {escape(item.title)}"
    yield " · ".join(filter(None, (f"**{state_of(item)}**", points_of(item))))
    if grade.reason:
        return
    lines = [f"- Asked: {escape(item.because)}"] if item.because else []
    if not item.problems:
        lines.append(f"- Found: {escape(item.found)}")
    for problem in item.problems:
        lines.append(f"- Found: {escape(problem.message)}")
        if where := place_text(grade, problem):
            lines.append(f"  - Where: {escape(where)}")
        lines.append(f"  - What to do: {escape(problem.todo)}")
    if item.hidden:
        lines.append(f"- There are {item.hidden:,} more places like these.")
    yield "\n".join(lines)


def class_page(summary: Summary) -> str:
    """Return the page about the class."""
    blocks = ["# The class", f"{amount(len(summary.grades), 'submissions')}. {summary.average}".strip()]
    if summary.bars:
        rows = [[bar.label, str(bar.students), "█" * bar.width(40)] for bar in summary.bars]
        blocks += ["## Points", table(["points", "students", ""], rows)]
    if summary.rules:
        titles = ["what was asked", "not done by", "share"]
        rows = [[escape(rule.title), str(rule.failed), f"{rule.share:.0%}"] for rule in summary.rules]
        blocks += ["## What fails most", table(titles, rows)]
    if summary.unmeasured:
        rows = [[_link(each), escape(each.reason)] for each in summary.unmeasured]
        blocks += ["## Could not be measured", table(["student", "why"], rows)]
    rows = [[_link(each), escape(each.assignment), done_text(each)] for each in summary.grades]
    blocks += ["## Students", table(["student", "assignment", "grade"], rows)]
    return "\n\n".join(blocks) + "\n"


def _link(grade: Grade) -> str:
    return f"[{escape(grade.student)}]({file_name(grade)}.md)"
