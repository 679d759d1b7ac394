"""Plan the drawings of an executed graph: boxes in order of execution, and the data flow between them.

A short part of the graph is drawn operation by operation. A long part is drawn as one box for each module, and every
such box has a drawing of its own. Modules in a row that do the same share one box, and only the first is drawn. A graph
of any length therefore stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op

FLAT = 40
"""Operations up to which every one has its box, and boxes that a bundled drawing has at most."""
MANY = 60
"""Boxes above which neighbours are drawn together."""
DEEP = 12
"""Drawings inside of one another, beyond which modules are no longer told apart."""
MOST = 3_000
"""Boxes, and rows of layers, that a whole page may have."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive operations `[start, stop)` of the graph, run below the layer `path`."""

    start: int
    stop: int
    path: str

    @property
    def size(self) -> int:
        """The number of operations."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What one box stands for: `members` are stretches that do the same, normally one, and `inner` its drawing."""

    members: tuple[Stretch, ...]
    inner: Plan | None = None

    @property
    def start(self) -> int:
        """The first operation in the box."""
        return self.members[0].start

    @property
    def stop(self) -> int:
        """The operation after the last one in the box."""
        return self.members[-1].stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One drawing: its boxes in order of execution, of the operations below the layer `path`."""

    number: int
    path: str
    boxes: tuple[Box, ...]
    undrawn: int = 0


@dataclass(slots=True, kw_only=True)
class Paper:
    """The room that all subjects of a page share: boxes, rows and curves that are left, and drawings so far."""

    boxes: int = MOST
    rows: int = MOST
    curves: int = 24
    drawings: int = 0


def plan(facts: Facts, paper: Paper) -> Plan | None:
    """Return the drawings of the executed graph; `None` where nothing ran or no paper is left."""
    return _Planner(facts, paper).plan(Stretch(0, len(facts.ops), ""), 0)


class _Planner:
    """Cuts a graph into drawings, for as long as there is paper."""

    def __init__(self, facts: Facts, paper: Paper) -> None:
        self._ops = facts.ops
        self._paper = paper

    def plan(self, stretch: Stretch, depth: int) -> Plan | None:
        """Return the drawing of a stretch, with those of its boxes."""
        path, groups = self._cut(stretch, depth)
        if not 0 < len(groups) <= self._paper.boxes:
            return None
        self._paper.boxes -= len(groups)
        self._paper.drawings += 1
        number = self._paper.drawings
        boxes = tuple(Box(members=group, inner=self._inside(group[0], depth)) for group in groups)
        undrawn = sum(box.inner is None and box.members[0].size > 1 for box in boxes)
        return Plan(number=number, path=path, boxes=boxes, undrawn=undrawn)

    def _inside(self, stretch: Stretch, depth: int) -> Plan | None:
        return self.plan(stretch, depth + 1) if stretch.size > 1 else None

    def _cut(self, stretch: Stretch, depth: int) -> tuple[str, list[tuple[Stretch, ...]]]:
        """Return the path that all of a stretch lies below, and its boxes."""
        if stretch.size <= FLAT:
            return stretch.path, [(part,) for part in _single(stretch)]
        parts = [stretch]
        while len(parts) == 1 and depth < DEEP:  # a model that only wraps another is not worth a drawing
            path, parts = parts[0].path, self._modules(parts[0])
        if len(parts) == 1:
            path, parts = stretch.path, _single(stretch)
        return path, _bundled(path, self._alike(parts))

    def _modules(self, stretch: Stretch) -> list[Stretch]:
        """Cut where the module below the path of the stretch changes; what that path itself runs stands alone."""
        start, parts = stretch.start, []
        for child, run in groupby(self._ops[stretch.start : stretch.stop], lambda op: _child(stretch.path, op.layer)):
            size = len(list(run))
            if child is None:
                parts += _single(Stretch(start, start + size, stretch.path))
            else:
                parts.append(Stretch(start, start + size, child))
            start += size
        return parts

    def _alike(self, parts: Sequence[Stretch]) -> list[tuple[Stretch, ...]]:
        runs = groupby(parts, lambda part: self._likeness(part) if part.size > 1 else part)
        return [tuple(run) for _, run in runs]

    def _likeness(self, part: Stretch) -> object:
        """Return what equal stretches have in common: their operations, and the flow inside of them."""
        return tuple(_trait(op, part) for op in self._ops[part.start : part.stop])


def _trait(op: Op, part: Stretch) -> object:
    flow = tuple(index - part.start if index >= part.start else None for index in op.inputs)
    return op.kind, op.op, op.layer[len(part.path) :], op.shapes, op.macs, op.live, flow


def _child(path: str, layer: str) -> str | None:
    """Return the module directly below `path` that `layer` is or lies in; `None` when it lies elsewhere.

    >>> _child("", "block1.0"), _child("block1", "block1.0.conv"), _child("block1", "block1")
    ('block1', 'block1.0', None)
    """
    prefix = f"{path}." if path else ""
    if not layer.startswith(prefix) or layer == path:
        return None
    return prefix + layer[len(prefix) :].partition(".")[0]


def _single(stretch: Stretch) -> list[Stretch]:
    """Cut a stretch into its operations."""
    return [Stretch(index, index + 1, stretch.path) for index in range(stretch.start, stretch.stop)]


def _bundled(path: str, groups: list[tuple[Stretch, ...]]) -> list[tuple[Stretch, ...]]:
    """Return as many boxes as can be looked at: of too many, neighbours become one."""
    if len(groups) <= MANY:
        return groups
    size = -(-len(groups) // FLAT)
    bundles = (groups[start : start + size] for start in range(0, len(groups), size))
    return [
        bundle[0] if len(bundle) == 1 else (Stretch(bundle[0][0].start, bundle[-1][-1].stop, path),)
        for bundle in bundles
    ]
