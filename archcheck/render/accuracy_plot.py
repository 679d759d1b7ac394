"""A plot of parameters against test accuracy, as SVG: a point a subject, with the interval of its mean.

Both axes are logarithmic, the upright one in the errors: from 98 % to 99 % is as far as from 99 % to 99.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import ArchcheckError, NotMeasured
from archcheck.rules.queries.comparisons import MeanAccuracy, mean_accuracy

Point = tuple[int, float]
"""Parameters, and accuracy in percent."""
Place = tuple[float, float]
"""Pixels from the left and from the top."""

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 20, 60
MARGIN = 1.3
"""Factor by which the frame is larger than the outermost points."""
LEAST_ERROR = 0.01
"""The error in percent at which the axis ends, because no logarithm shows 100 %."""
CROWDED = 45
"""Pixels that the number beside a point needs. Nearer to the next point, it stands on the other side."""
CLOSE = 24
"""Pixels between two points that mark one spot: then the number of the upper one stands left of it."""
UPRIGHT_TICK, ACROSS_TICK = 24, 60
"""Pixels between two lines of the grid at least."""
INK, GRID, OWN, OTHERS = "#222222", "#dddddd", "#0b5fa5", "#b34700"
_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_ROUND = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A logarithmic axis from the value at `start` to the value at `end`, with lines `apart`; all three are pixels."""

    first: float
    last: float
    start: float
    end: float
    apart: float

    def __call__(self, value: float) -> float:
        kept = min(
            max(value, min(self.first, self.last)), max(self.first, self.last)
        )  # what is beyond ends at the frame
        share = math.log(kept / self.first) / math.log(self.last / self.first)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values, as many as there is room for; those of the steps 1, 2 and 5 come first."""
        low, high = sorted((self.first, self.last))
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        chosen: list[float] = []
        for steps in (_ROUND, _STEPS):
            for value in (step * 10.0**decade for decade in decades for step in steps):
                if low <= value <= high and all(abs(self(value) - self(each)) >= self.apart for each in chosen):
                    chosen.append(value)
        return sorted(chosen)


def accuracy_plot(measured: Sequence[Facts], points: Sequence[Point] = ()) -> str:
    """Return an SVG of the subjects whose training record proves an accuracy. `points` are drawn as those of others.

    Raises `ArchcheckError` when there is no such subject.
    """
    own = sorted(_own(measured), key=lambda each: each[0])
    if not own:
        raise ArchcheckError("no subject has a training record that proves an accuracy to plot; train one first")
    everything = [*((size, accuracy.mean) for size, accuracy in own), *points]
    sizes, errors = [size for size, _ in everything], [_error(accuracy) for _, accuracy in everything]
    across = _Axis(
        first=min(sizes) / MARGIN, last=max(sizes) * MARGIN, start=LEFT, end=WIDTH - RIGHT, apart=ACROSS_TICK
    )
    up = _Axis(
        first=max(errors) * MARGIN, last=min(errors) / MARGIN, start=HEIGHT - BOTTOM, end=TOP, apart=UPRIGHT_TICK
    )
    places = [(across(size), up(_error(accuracy))) for size, accuracy in everything]
    others = _others(points, places[len(own) :], places[: len(own)])
    subjects = _subjects(up, own, places[: len(own)], places[len(own) :])
    shapes = (*_grid(across, up), *_legend(bool(points)), *others, *subjects)
    drawn = "".join(f"  {shape}\n" for shape in shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="13" fill="{INK}" role="img">\n'
        "  <title>Parameters against test accuracy</title>\n"
        f'  <rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{drawn}</svg>\n'
    )


def _own(measured: Sequence[Facts]) -> Iterator[tuple[int, MeanAccuracy]]:
    for facts in measured:
        try:
            yield max(facts.params.total, 1), mean_accuracy(facts)
        except NotMeasured:
            continue


def _error(accuracy: float) -> float:
    return max(100 - accuracy, LEAST_ERROR)


def _grid(across: _Axis, up: _Axis) -> Iterator[str]:
    for size in across.ticks():
        yield _line(across(size), TOP, across(size), HEIGHT - BOTTOM, GRID)
        yield _text(across(size), HEIGHT - BOTTOM + 20, f"{size:,.0f}", "middle")
    for error in up.ticks():
        yield _line(LEFT, up(error), WIDTH - RIGHT, up(error), GRID)
        yield _text(LEFT - 8, up(error) + 4, f"{100 - error:.6g} %", "end")
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield _text(middle, HEIGHT - 14, "parameters (logarithmic), against accuracy (logarithmic in the errors)", "middle")


def _legend(has_others: bool) -> Iterator[str]:
    yield _circle(WIDTH - 330, HEIGHT - BOTTOM - 40, OWN, OWN)
    yield _text(WIDTH - 318, HEIGHT - BOTTOM - 36, "mean of the seeds, with its 95 % interval", "start")
    if has_others:
        yield _circle(WIDTH - 330, HEIGHT - BOTTOM - 20, "#ffffff", OTHERS)
        yield _text(WIDTH - 318, HEIGHT - BOTTOM - 16, "posted by others", "start")


def _subjects(
    up: _Axis, own: Sequence[tuple[int, MeanAccuracy]], places: Sequence[Place], others: Sequence[Place]
) -> Iterator[str]:
    for (size, accuracy), (x, y), following in zip(own, places, [*places[1:], (WIDTH - RIGHT, 0.0)], strict=True):
        if accuracy.low is not None and accuracy.high is not None:
            ends = [up(_error(each)) for each in (accuracy.low, accuracy.high)]
            yield _line(x, ends[0], x, ends[1], OWN, 2)
            yield from (_line(x - 4, end, x + 4, end, OWN, 2) for end in ends)
        yield _circle(x, y, OWN, OWN)
        if any(_is_above((x, y), each) for each in others):
            yield _text(x - 9, y - 8, f"{size:,}", "end", OWN)
        else:
            side, anchor = (-9, "end") if following[0] - x < CROWDED else (9, "start")
            yield _text(x + side, y + 16, f"{size:,}", anchor, OWN)


def _others(points: Sequence[Point], places: Sequence[Place], own: Sequence[Place]) -> Iterator[str]:
    for (size, _), (x, y) in zip(points, places, strict=True):
        yield _circle(x, y, "#ffffff", OTHERS)
        if any(_is_above(each, (x, y)) for each in own):
            yield _text(x + 9, y + 16, f"{size:,}", "start", OTHERS)
        else:
            yield _text(x - 9, y - 8, f"{size:,}", "end", OTHERS)


def _is_above(place: Place, other: Place) -> bool:
    """Whether a point is on the upper side of another one that is close to it, or at its spot."""
    return abs(place[0] - other[0]) < CLOSE and 0 <= other[1] - place[1] < CLOSE


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _circle(x: float, y: float, fill: str, stroke: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{stroke}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = INK) -> str:
    fill = "" if colour == INK else f' fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{fill}>{escape(text)}</text>'
