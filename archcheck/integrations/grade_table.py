"""A table of grades as CSV, a line a student, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence

from archcheck.integrations.grades import Grade, Item, number
from archcheck.render.wording import one_line

_FORMULA = tuple("=+-@|%＝＋－＠")
"""What a cell begins with that a spreadsheet takes for a formula or a command."""


def render_csv(grades: Sequence[Grade]) -> str:
    """Return the table: student, subject, earned, points, a column a rule with points, and why one earns nothing.

    Texts are in quotes, and a name that begins like a formula gets an apostrophe before it.
    """
    titles = _titles(grades)
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(["student", "subject", "earned", "points", *map(text, titles.values()), "not measured"])
    for grade in grades:
        earned = {item.instance: number(item.earned or 0) for item in grade.items if item.points is not None}
        missing: object = 0 if grade.reason else ""
        sums = [number(grade.earned or 0), number(grade.points or 0)]
        cells = [earned.get(instance, missing) for instance in titles]
        writer.writerow([text(grade.student), text(grade.subject), *sums, *cells, text(grade.reason)])
    return out.getvalue()


def _titles(grades: Sequence[Grade]) -> dict[str, str]:
    """Return the title of each rule with points by its instance. Titles that are there twice name the instance."""
    first: dict[str, Item] = {}
    for grade in grades:
        for item in grade.items:
            if item.points is not None:
                first.setdefault(item.instance, item)
    often = Counter(item.title for item in first.values())
    return {
        instance: item.title if often[item.title] == 1 else f"{item.title} ({instance})"
        for instance, item in first.items()
    }


def text(value: str) -> str:
    """Return a cell on one line that no spreadsheet computes."""
    cell = one_line(value)
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell
