"""Checks that a pass could be traced. Operations are seen only in the thread of the pass."""

from __future__ import annotations

from archcheck.foundation.errors import SubjectError
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.subject.module_tree import Tree, join


def demand_traceable(trace: Trace, tree: Tree) -> None:
    """Raise an error if a layer ran in another thread.

    Raises:
        SubjectError: no output depends on the input, and a layer was called of which no operation was seen.
    """
    if any(trace.dependent[index] for index in trace.outputs if index >= 0):
        return
    ran = {event.layer for event in trace.events}
    read = {name for event in trace.events for name in event.params}
    for node in tree.nodes:
        own = {join(node.path, name) for name, _ in node.parameters}
        if own and node.path in trace.visits and node.path not in ran and own.isdisjoint(read):
            raise SubjectError(
                "thread",
                f"`{node.path}` runs in a thread of its own, where archcheck sees no operations; "
                "call it in `forward` itself",
            )
