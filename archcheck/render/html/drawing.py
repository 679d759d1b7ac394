"""The drawing of a plan, as coordinates: boxes below one another in order of execution, and the lines between them.

A result goes straight down to the box that follows. To boxes further on it runs down a lane to the right, one lane for
each result, however many boxes read it. What comes from before the drawing enters from the left. All lengths are in
pixels of the page.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.render.html.labels import Label, enclosing_module, fit, label, name_of, relative_path, type_of
from archcheck.render.html.plan import Box, Plan

WIDTH = 304
"""Width of a box. A drawing with a few lanes still fits the screen of a telephone."""
LEFT = 14
HEIGHT = 24
GAP = 12
HEADING = 24
"""Room for the name of a module above its operations."""
LANE = 7
_AISLE = 6
"""Room between the boxes and the first lane. Frames end in it."""
LANES = 24
"""Most lanes. A line that finds no lane is left out and counted."""
_RIGHT = LEFT + WIDTH
_FRAMED = 36
"""Characters that fit above a frame."""

Readers = Mapping[int, list[int]]
"""Position of a box -> positions of the boxes that read its result, in order. -1 is everything before the drawing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A box with its place, and the number of the drawing that shows its content."""

    y: int
    label: Label
    inner: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A frame around the operations of a module."""

    y: int
    height: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A plan with coordinates. `lines` are SVG paths that end in an arrow; `missing` counts those that found no lane.

    `operations` counts the operations that are shown, and `alike` the equal modules that the drawing shows. `undrawn`
    counts the boxes whose content found no room. `inner` holds the drawings of the other boxes.
    """

    number: int
    title: str
    width: int
    height: int
    boxes: tuple[Placed, ...]
    frames: tuple[Frame, ...]
    lines: tuple[str, ...]
    lanes: int
    missing: int
    undrawn: int
    operations: int
    alike: int
    inner: tuple[Drawing, ...]


def draw(facts: Facts, plan: Plan, box: Box | None = None) -> Drawing:
    """Return the drawing of `plan` with the drawings inside it. It shows the content of `box`, by default the model."""
    modules = [enclosing_module(facts, plan, each) for each in plan.boxes]
    tops = _tops(modules)
    lines, lanes, missing = _lines(_readers(facts, plan), tops)
    return Drawing(
        number=plan.number,
        title=_title(facts, box) if box else facts.subject.name,
        width=_RIGHT + LEFT + LANE * lanes,
        height=tops[-1] + HEIGHT + GAP,
        boxes=tuple(
            Placed(y=y, label=label(facts, plan, each), inner=each.inner.number if each.inner else None)
            for each, y in zip(plan.boxes, tops, strict=True)
        ),
        frames=tuple(_frames(facts, plan, modules, tops)),
        lines=lines,
        lanes=lanes,
        missing=missing,
        undrawn=plan.undrawn,
        operations=plan.boxes[-1].stop - plan.boxes[0].start,
        alike=len(box.members) if box else 1,
        inner=tuple(draw(facts, each.inner, each) for each in plan.boxes if each.inner),
    )


def _title(facts: Facts, box: Box) -> str:
    kind = type_of(facts, box.members[0].path)
    return name_of("", box) + (f" ({kind})" if kind else "")


def _tops(modules: list[str | None]) -> list[int]:
    """Return the y coordinate of each box. A new module takes room for its name."""
    y, before, tops = 2, None, []
    for module in modules:
        y += HEADING if module and module != before else 0
        tops.append(y)
        y += HEIGHT + GAP
        before = module
    return tops


def _frames(facts: Facts, plan: Plan, modules: list[str | None], tops: list[int]) -> Iterator[Frame]:
    start = 0
    for position, module in enumerate(modules):
        if position + 1 < len(modules) and modules[position + 1] == module:
            continue
        if module:
            top = tops[start] - HEADING + 2
            title = fit(f"{relative_path(plan.path, module)}  {type_of(facts, module)}".rstrip(), _FRAMED)
            yield Frame(y=top, height=tops[position] + HEIGHT + GAP // 2 - top, title=title)
        start = position + 1


def _readers(facts: Facts, plan: Plan) -> Readers:
    """Return the boxes that read each result. A box that reads its own result is left out."""
    starts = [box.start for box in plan.boxes]
    found: dict[int, list[int]] = {}
    for reader, box in enumerate(plan.boxes):
        inputs = {index for op in facts.ops[box.start : box.stop] for index in op.inputs}
        for source in sorted({bisect(starts, index) - 1 for index in inputs} - {reader}):
            found.setdefault(source, []).append(reader)
    return found


def _lines(readers: Readers, tops: list[int]) -> tuple[tuple[str, ...], int, int]:
    """Return the lines, how many lanes they take, and how many are left out."""
    lines, ends, missing = [], [-1] * LANES, 0
    for source in sorted(readers):
        if source < 0:
            lines += [f"M2 {tops[reader] + HEIGHT // 2}H{LEFT - 1}" for reader in readers[source]]
            continue
        far = [reader for reader in readers[source] if reader > source + 1]
        if len(far) < len(readers[source]):
            lines.append(f"M{LEFT + WIDTH // 2} {tops[source] + HEIGHT}V{tops[source + 1] - 1}")
        lane = next((lane for lane, end in enumerate(ends) if end <= source), None)
        if far and lane is not None:
            ends[lane] = far[-1]
            lines += _through(lane, tops[source], [tops[reader] for reader in far])
        missing += len(far) if lane is None else 0
    return tuple(lines), sum(end >= 0 for end in ends), missing


def _through(lane: int, source: int, readers: list[int]) -> Iterator[str]:
    """Yield a line down a lane to the last reader, and a branch to each of the others."""
    x = _RIGHT + _AISLE + LANE * (lane + 1)
    *others, last = (y + HEIGHT // 3 for y in readers)
    yield f"M{_RIGHT} {source + 2 * HEIGHT // 3}H{x}V{last}H{_RIGHT + 1}"
    for y in others:
        yield f"M{x} {y}H{_RIGHT + 1}"
