"""Records what a second look found, and marks the operations of a graph accordingly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archcheck.facts.records import IDLE, Op
from archcheck.measure.second_look.pass_comparison import Sign, sign
from archcheck.measure.structure.graph import Graph

Signs = frozenset[Sign]


@dataclass(frozen=True, slots=True)
class Silent:
    """What says nothing in a mode: what is `quiet`, what no output feels, and rectifiers with nothing to rectify.

    Parameters that only what is quiet reads are unused. What is `unfelt` reads some that an example of other extents
    may need: the keys of an attention over a single position.
    """

    quiet: Signs = frozenset()
    unfelt: Signs = frozenset()
    idle: Signs = frozenset()


@dataclass(frozen=True, slots=True)
class Second:
    """What a second look found: what says nothing in each mode, of what it `followed`, and notes."""

    silent: Mapping[bool, Silent]
    notes: tuple[str, ...]
    followed: Mapping[bool, Signs] = field(default_factory=dict)

    def used(self, graph: Graph, *, training: bool) -> tuple[Op, ...]:
        """Return the operations of a graph, those that use no parameter as reaching no output."""
        return _deadened(graph, self.silent.get(training, Silent()).quiet)

    def heard(self, graph: Graph, *, training: bool) -> tuple[Op, ...]:
        """Return the operations of a graph, those that say nothing as reaching no output."""
        silent = self.silent.get(training, Silent())
        ops = _deadened(graph, silent.quiet | silent.unfelt)
        if not silent.idle:
            return ops
        resting = (sign(event) in silent.idle for event in graph.trace.events)
        pairs = zip(ops, resting, strict=True)
        return tuple(replace(op, attributes={**op.attributes, **IDLE}) if rests else op for op, rests in pairs)


def _deadened(graph: Graph, quiet: Signs) -> tuple[Op, ...]:
    if not quiet:
        return graph.ops
    events = zip(graph.ops, graph.trace.events, strict=True)
    return tuple(replace(op, live=False) if op.live and sign(event) in quiet else op for op, event in events)


NOTHING = Second({}, ())
"""What is known without a second look."""
