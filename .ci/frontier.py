"""The table and the plot of the frontier: parameters of small networks against their accuracy on MNIST, by the records.

`.ci/pages.py` writes both again. A record of one run has no interval, and neither the table nor the plot shows one.
"""

import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from archcheck.foundation.statistics.distributions import student_quantile

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "reference_models" / "mnist"
PLOT = FOLDER / "frontier" / "frontier.svg"

CONFIDENCE = 0.95
POSTED = ((575, 98.0), (697, 99.0))
"""Parameters and accuracy in percent that others posted, each of a single best seed."""

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 20, 60
PARAMETERS = (250, 20_000)
ERRORS = (6.0, 0.4)
"""Ends of the two axes, which are logarithmic: parameters, and errors in percent, the largest at the bottom."""
ROOM = 45
"""What the number beside a point needs; nearer to the next point, it stands on the other side."""
INK, GRID, OWN, OTHERS = "#222222", "#dddddd", "#0b5fa5", "#b34700"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a record says of one network; accuracies are percent of the official test file.

    `margin` is half of the interval of the mean; with one run there is none, nor a standard deviation.
    """

    name: str
    parameters: int
    mean: float
    deviation: float | None
    margin: float | None
    runs: int
    recipe: str
    epochs: int
    seconds: float


def rows() -> list[Row]:
    """Return a row for each network with a record, the smallest network first."""
    files = [FOLDER / "record.json", *(FOLDER / "frontier").glob("record-*.json")]
    found = [row_of(_name(file), json.loads(file.read_text(encoding="utf-8"))) for file in files]
    return sorted(found, key=lambda row: row.parameters)


def row_of(name: str, record: dict[str, Any]) -> Row:
    """Return the row of a record; the interval is of the mean of all seeds, two-sided, by Student's t."""
    runs = record["runs"]
    shares = [100 * run["test"]["correct"] / run["test"]["total"] for run in runs]
    deviation = margin = None
    if len(runs) > 1:
        deviation = statistics.stdev(shares)
        margin = student_quantile((1 + CONFIDENCE) / 2, len(runs) - 1) * deviation / math.sqrt(len(runs))
    return Row(
        name=name,
        parameters=record["model"]["parameters"],
        mean=statistics.mean(shares),
        deviation=deviation,
        margin=margin,
        runs=len(runs),
        recipe=record["recipe"]["name"],
        epochs=record["recipe"]["settings"]["epochs"],
        seconds=statistics.mean(sum(epoch["cpu_seconds"] for epoch in run["epochs"]) for run in runs),
    )


def table(found: list[Row]) -> str:
    """Return the rows as a table of Markdown."""
    head = ("network", "parameters", "mean", "standard deviation", "95 % interval of the mean", "n", "recipe", "epochs")
    lines = [f"| {' | '.join((*head, 'CPU s a run'))} |", "|---" + "|---:" * 5 + "|---" + "|---:" * 2 + "|"]
    for row in found:
        deviation = "—" if row.deviation is None else f"{row.deviation:.3f}"
        interval = "—"
        if row.margin is not None:  # of two seeds, it may reach beyond what an accuracy can be
            interval = f"{max(row.mean - row.margin, 0):.3f} to {min(row.mean + row.margin, 100):.3f} %"
        cells = (
            f"`{row.name}`", f"{row.parameters:,}", f"{row.mean:.3f} %", deviation, interval, f"{row.runs}",
            row.recipe, f"{row.epochs}", f"{row.seconds:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def plot(found: list[Row]) -> str:
    """Return an SVG of the rows with their intervals, and of the posted points."""
    shapes = "".join(f"  {shape}\n" for shape in (*_axes(), *_posted(), *_points(found)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="13" fill="{INK}" role="img">\n'
        "  <title>Parameters against accuracy on MNIST's official test file</title>\n"
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{shapes}</svg>\n'
    )


def _name(file: Path) -> str:
    return file.stem.partition("-")[2] or "Net"


def _x(parameters: float) -> float:
    first, last = (math.log(end) for end in PARAMETERS)
    return LEFT + (math.log(parameters) - first) / (last - first) * (WIDTH - LEFT - RIGHT)


def _y(accuracy: float) -> float:
    worst, best = (math.log(end) for end in ERRORS)
    error = min(max(100 - accuracy, ERRORS[1]), ERRORS[0])  # a wide interval ends at the frame
    return HEIGHT - BOTTOM - (math.log(error) - worst) / (best - worst) * (HEIGHT - TOP - BOTTOM)


def _axes() -> Iterator[str]:
    for parameters in (300, 500, 1_000, 2_000, 5_000, 10_000):
        yield _line(_x(parameters), TOP, _x(parameters), HEIGHT - BOTTOM, GRID)
        yield _text(_x(parameters), HEIGHT - BOTTOM + 20, f"{parameters:,}", "middle")
    for accuracy in (95.0, 96.0, 97.0, 98.0, 98.5, 99.0, 99.2, 99.4, 99.6):
        yield _line(LEFT, _y(accuracy), WIDTH - RIGHT, _y(accuracy), GRID)
        yield _text(LEFT - 8, _y(accuracy) + 4, f"{accuracy:.1f} %", "end")
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield _text(middle, HEIGHT - 14, "parameters (logarithmic), against accuracy (logarithmic in the errors)", "middle")
    yield _circle(WIDTH - 330, HEIGHT - BOTTOM - 40, OWN, OWN)
    yield _text(WIDTH - 318, HEIGHT - BOTTOM - 36, "mean of the seeds, with its 95 % interval", "start")
    yield _circle(WIDTH - 330, HEIGHT - BOTTOM - 20, "#ffffff", OTHERS)
    yield _text(WIDTH - 318, HEIGHT - BOTTOM - 16, "posted by others: a single best seed", "start")


def _points(found: list[Row]) -> Iterator[str]:
    for row, following in zip(found, [*found[1:], None], strict=True):
        x = _x(row.parameters)
        if row.margin is not None:
            low, high = _y(row.mean - row.margin), _y(row.mean + row.margin)
            yield _line(x, low, x, high, OWN, 2)
            for end in (low, high):
                yield _line(x - 4, end, x + 4, end, OWN, 2)
        yield _circle(x, _y(row.mean), OWN, OWN)
        is_crowded = following is not None and _x(following.parameters) - x < ROOM
        side, anchor = (-9, "end") if is_crowded else (9, "start")
        yield _text(x + side, _y(row.mean) + 16, f"{row.parameters:,}", anchor)


def _posted() -> Iterator[str]:
    for parameters, accuracy in POSTED:
        yield _circle(_x(parameters), _y(accuracy), "#ffffff", OTHERS)
        yield _text(_x(parameters) - 9, _y(accuracy) - 8, f"{parameters:,}", "end")


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _circle(x: float, y: float, fill: str, stroke: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
