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
"""Up to so many operations have a box each. A bundled drawing has at most so many boxes."""
MANY = 60
"""Most boxes of a drawing. With more, neighbours share a box."""
DEEP = 12
"""Depth of nested drawings below which modules are no longer separated."""
MOST = 3_000
"""Most boxes of a whole page, and most rows of layers."""


@dataclass(frozen=True, slots=True)
class Span:
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
    """The content of a box: `members` are equal spans, normally one, and `inner` is the drawing of the first."""

    members: tuple[Span, ...]
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
class PageBudget:
    """The boxes, rows and curves that the subjects of a page may still use, and the number of drawings so far."""

    boxes: int = MOST
    rows: int = MOST
    curves: int = 24
    drawings: int = 0


def plan(facts: Facts, budget: PageBudget) -> Plan | None:
    """Return the drawings of the executed graph; `None` if nothing ran or the budget is used up."""
    return _Planner(facts, budget).plan(Span(0, len(facts.ops), ""), 0)


class _Planner:
    """Cuts a graph into drawings, as far as the budget allows."""

    def __init__(self, facts: Facts, budget: PageBudget) -> None:
        self._ops = facts.ops
        self._budget = budget

    def plan(self, span: Span, depth: int) -> Plan | None:
        """Return the drawing of a span, with those of its boxes."""
        path, groups = self._cut(span, depth)
        if not 0 < len(groups) <= self._budget.boxes:
            return None
        self._budget.boxes -= len(groups)
        self._budget.drawings += 1
        number = self._budget.drawings
        boxes = tuple(Box(members=group, inner=self._inside(group[0], depth)) for group in groups)
        undrawn = sum(box.inner is None and box.members[0].size > 1 for box in boxes)
        return Plan(number=number, path=path, boxes=boxes, undrawn=undrawn)

    def _inside(self, span: Span, depth: int) -> Plan | None:
        return self.plan(span, depth + 1) if span.size > 1 else None

    def _cut(self, span: Span, depth: int) -> tuple[str, list[tuple[Span, ...]]]:
        """Return the path above the whole span, and its boxes."""
        if span.size <= FLAT:
            return span.path, [(part,) for part in _single(span)]
        parts = [span]
        while len(parts) == 1 and depth < DEEP:  # a model that only wraps another is not worth a drawing
            path, parts = parts[0].path, self._modules(parts[0])
        if len(parts) == 1:
            path, parts = span.path, _single(span)
        return path, _bundled(path, self._group_equal(parts))

    def _modules(self, span: Span) -> list[Span]:
        """Cut where the module below the path of the span changes. Operations of that path itself stay single."""
        start, parts = span.start, []
        for child, run in groupby(self._ops[span.start : span.stop], lambda op: _child(span.path, op.layer)):
            size = len(list(run))
            if child is None:
                parts += _single(Span(start, start + size, span.path))
            else:
                parts.append(Span(start, start + size, child))
            start += size
        return parts

    def _group_equal(self, parts: Sequence[Span]) -> list[tuple[Span, ...]]:
        runs = groupby(parts, lambda part: self._signature(part) if part.size > 1 else part)
        return [tuple(run) for _, run in runs]

    def _signature(self, part: Span) -> object:
        """Return a value that equal spans share: their operations and the data flow inside."""
        return tuple(_op_signature(op, part) for op in self._ops[part.start : part.stop])


def _op_signature(op: Op, part: Span) -> object:
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


def _single(span: Span) -> list[Span]:
    """Cut a span into its operations."""
    return [Span(index, index + 1, span.path) for index in range(span.start, span.stop)]


def _bundled(path: str, groups: list[tuple[Span, ...]]) -> list[tuple[Span, ...]]:
    """Join neighbours if there are too many boxes."""
    if len(groups) <= MANY:
        return groups
    size = -(-len(groups) // FLAT)
    bundles = (groups[start : start + size] for start in range(0, len(groups), size))
    return [
        bundle[0] if len(bundle) == 1 else (Span(bundle[0][0].start, bundle[-1][-1].stop, path),) for bundle in bundles
    ]
