"""The words that the pages share, in HTML and in Markdown."""

from __future__ import annotations

from archcheck.integrations.grades import Grade, Item, Problem, own_place
from archcheck.rules.findings import Verdict, plain

_STATES = {
    Verdict.KEPT: "done",
    Verdict.WAIVED: "accepted",
    Verdict.BROKEN: "not done",
    Verdict.VACUOUS: "not done",
    Verdict.ERROR: "not judged",
}


def points_of(carrier: Grade | Item) -> str:
    """Return `2 of 3 points`, or an empty text for what has no points."""
    if carrier.points is None:
        return ""
    noun = "point" if carrier.points == 1 else "points"
    return f"{plain(_whole(carrier.earned or 0))} of {plain(_whole(carrier.points))} {noun}"


def _whole(points: float) -> float:
    return int(points) if float(points).is_integer() else points


def state_of(item: Item) -> str:
    """Return whether what was asked is done: `done`, `partly done`, `accepted`, `not done` or `not judged`."""
    return "partly done" if item.fails and item.earned else _STATES[item.verdict]


def done_text(grade: Grade) -> str:
    """Return `2 of 3 points`, or how much is done of an assignment without points."""
    kept = sum(not item.fails for item in grade.items)
    return points_of(grade) or f"{kept} of {len(grade.items)} done"


def place_text(grade: Grade, problem: Problem) -> str:
    """Return where a problem is, in the student's own files: `model.py, line 3, layer conv`."""
    parts = [own_place(grade, problem.where), f"layer {problem.layer}" if problem.layer else ""]
    return ", ".join(filter(None, parts))
