"""Keeps the result of the second look, and marks the operations of a graph accordingly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archcheck.facts.records import IDLE, Op
from archcheck.measure.second_look.pass_comparison import Identity, identity_of
from archcheck.measure.structure.graph import Graph

Identities = frozenset[Identity]


@dataclass(frozen=True, slots=True)
class WithoutEffect:
    """The operations of one mode without effect on any output.

    The results of `dead` operations reach no output on real numbers; parameters that only they read are unused. No
    output changes when `ineffective` operations give other results, but an example of other extents may need their
    parameters: the keys of an attention over a single position. `idle` rectifiers have nothing to rectify.
    """

    dead: Identities = frozenset()
    ineffective: Identities = frozenset()
    idle: Identities = frozenset()


@dataclass(frozen=True, slots=True)
class SecondLook:
    """The result of the second look: what is without effect in each mode, what was `covered`, and notes."""

    without_effect: Mapping[bool, WithoutEffect]
    notes: tuple[str, ...]
    covered: Mapping[bool, Identities] = field(default_factory=dict)

    def mark_dead(self, graph: Graph, *, training: bool) -> tuple[Op, ...]:
        """Return the operations of a graph; dead ones are marked as reaching no output."""
        return _marked(graph, self.without_effect.get(training, WithoutEffect()).dead)

    def mark_ineffective(self, graph: Graph, *, training: bool) -> tuple[Op, ...]:
        """Return the operations of a graph; dead and ineffective ones are marked as reaching no output."""
        without_effect = self.without_effect.get(training, WithoutEffect())
        ops = _marked(graph, without_effect.dead | without_effect.ineffective)
        if not without_effect.idle:
            return ops
        idle = (identity_of(event) in without_effect.idle for event in graph.trace.events)
        pairs = zip(ops, idle, strict=True)
        return tuple(replace(op, attributes={**op.attributes, **IDLE}) if is_idle else op for op, is_idle in pairs)


def _marked(graph: Graph, dead: Identities) -> tuple[Op, ...]:
    if not dead:
        return graph.ops
    events = zip(graph.ops, graph.trace.events, strict=True)
    return tuple(replace(op, live=False) if op.live and identity_of(event) in dead else op for op, event in events)


NOTHING = SecondLook({}, ())
"""The result if no second look is taken."""
