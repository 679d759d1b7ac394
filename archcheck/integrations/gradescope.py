"""`results.json` of Gradescope's autograder: the grade of one submission.

The format is that of Gradescope's page on autograder specifications, which refuses a file with other keys at its top.
"""

from __future__ import annotations

import json
from typing import Any

from archcheck.integrations.grades import Grade, Item, item_lines, number, reason_lines
from archcheck.render.wording import one_line

UNMEASURED = "The submission can be measured"
_LONGEST = 10_000
"""Characters of one output at most, so that a hostile submission makes no page that nobody can open."""


def render_gradescope(grade: Grade) -> str:
    """Return the document in ASCII. Each rule is a test, and those without points have no score."""
    document: dict[str, Any] = {
        "score": number(grade.earned or 0),
        "output": _text(reason_lines(grade))
        or f"{sum(not each.fails for each in grade.items)} of {len(grade.items)} things that were asked are done.",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(grade, item, at) for at, item in enumerate(grade.items, 1)] or [_unmeasured(grade)],
    }
    return json.dumps(document, indent=2) + "\n"


def _test(grade: Grade, item: Item, at: int) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": one_line(item.title),
        "number": str(at),
        "status": "failed" if item.fails else "passed",
        "output": _text(item_lines(grade, item)),
        "visibility": "visible",
    }
    if item.points is not None:
        test |= {"score": number(item.earned or 0), "max_score": number(item.points)}
    return test


def _unmeasured(grade: Grade) -> dict[str, Any]:
    """Return the only test of a saved report without rules: it carries all points."""
    return {
        "name": UNMEASURED,
        "number": "1",
        "status": "failed",
        "score": 0,
        "max_score": number(grade.points or 0),
        "output": _text(reason_lines(grade)),
        "visibility": "visible",
    }


def _text(lines: Any) -> str:
    return "\n".join(map(one_line, lines))[:_LONGEST]
