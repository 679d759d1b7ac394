"""Finds memory behind a parameter or buffer: a small view of a large storage whose rest `forward` reads.

`nn.Parameter(large[:1])` counts one element, and `as_strided` and `resize_` reach all of `large` from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archcheck.facts.records import Hidden
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.memory import storage_of
from archcheck.measure.structure.account import acting_by
from archcheck.measure.subject.module_tree import Tree

_PLAIN = frozenset({"reshape", "permute", "slice", "copy"})
"""Kinds that hand numbers on as they are."""

_REACHING = frozenset({"as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "resize_", "resize_as_"})
"""Operators that take any part of the memory that a tensor lies in."""


def beyond(trace: Trace, tree: Tree, root: str) -> Iterator[Hidden]:
    """Yield what lies beside parameters and buffers where an operation on the way to an output can reach it."""
    reaching = [event for event in trace.events if event.op in _REACHING and trace.live[event.index]]
    held = dict([*tree.parameters(), *tree.buffers()]) if reaching else {}
    for event in reaching:
        for name in _names_behind(event, trace):
            more = _elements_beside(held[name], tree)
            if more > 0:
                told = {"name": f"{name} (the memory beside it)", "shape": (more,), "elements": more, "numbers": more}
                yield acting_by(event, root, **told, origin="memory")


def _names_behind(event: Event, trace: Trace) -> set[str]:
    """Return the parameters and buffers whose memory an operation takes, be it by way of views."""
    names, pending = set[str](), [event]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each.index in seen or not each.operands:
            continue
        seen.add(each.index)
        if each.names[0]:
            names.add(each.names[0])
        elif each.operands[0] >= 0 and (each is event or each.kind in _PLAIN or each.op in _REACHING):
            pending.append(trace.events[each.operands[0]])
    return names


def _elements_beside(tensor: torch.Tensor, tree: Tree) -> int:
    """Return how many elements the memory of a tensor has beside those of all parameters and buffers in it."""
    storage = storage_of(tensor)
    if storage is None:
        return 0
    owned = sum(each.numel() * each.element_size() for each in tree.tensors() if _is_in(each, storage))
    return (storage.nbytes() - owned) // tensor.element_size()


def _is_in(tensor: torch.Tensor, storage: torch.UntypedStorage) -> bool:
    other = storage_of(tensor)
    return other is not None and other._cdata == storage._cdata
