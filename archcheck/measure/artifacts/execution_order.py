"""Plan the execution of a graph: the order of its nodes, the layer calls around them, and when results are freed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from archcheck.measure.artifacts.graph import Graph, Node, refs


@dataclass(frozen=True, slots=True)
class Call:
    """The nodes of one layer call, the names that they read from outside, and their names that are read outside."""

    path: str
    steps: tuple[Step, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One node, and the names that are not read after it."""

    node: Node
    forget: tuple[str, ...]


Step = Call | Run


def plan_of(graph: Graph, outputs: Iterable[str], depth: int = 0) -> tuple[Step, ...]:
    """Return the steps of `graph`, which lies within `depth` layers and keeps `outputs` until its end."""
    return tuple(_steps(graph.nodes, 0, depth, _Lifetimes(graph, outputs)))


class _Lifetimes:
    """The index of the node that makes each name of a graph, and of the node that reads it last."""

    def __init__(self, graph: Graph, outputs: Iterable[str]) -> None:
        self._made = {name: index for index, node in enumerate(graph.nodes) for name in node.makes}
        self._last = {name: index for index, node in enumerate(graph.nodes) for name in (*node.makes, *node.reads)}
        self._last |= dict.fromkeys((*outputs, *refs(graph.outputs)), len(graph.nodes))

    def forgotten(self, node: Node, index: int) -> tuple[str, ...]:
        """Return the names that are not read after a node."""
        return tuple(dict.fromkeys(name for name in (*node.makes, *node.reads) if self._last[name] == index))

    def between(self, nodes: Sequence[Node], first: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names that `nodes`, numbered from `first` on, read from outside and make for outside."""
        end = first + len(nodes)
        reads = dict.fromkeys(name for node in nodes for name in node.reads if self._made.get(name, -1) < first)
        makes = dict.fromkeys(name for node in nodes for name in node.makes if self._last[name] >= end)
        return tuple(reads), tuple(makes)


def _steps(nodes: Sequence[Node], first: int, depth: int, lifetimes: _Lifetimes) -> Iterator[Step]:
    """Yield the steps of nodes with indices from `first` on, grouped by their layers from `depth` on."""

    def inside(node: Node) -> tuple[str, str] | None:
        layer = node.layers[depth] if len(node.layers) > depth else None
        return (layer.call, layer.path) if layer else None

    for key, group in groupby(nodes, key=inside):
        members = list(group)
        if key is None:
            yield from (Run(node, lifetimes.forgotten(node, first + at)) for at, node in enumerate(members))
        elif not key[1]:  # the model itself
            yield from _steps(members, first, depth + 1, lifetimes)
        else:
            reads, makes = lifetimes.between(members, first)
            yield Call(key[1], tuple(_steps(members, first, depth + 1, lifetimes)), reads, makes)
        first += len(members)
