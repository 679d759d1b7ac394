"""Finds memory beside a parameter or buffer: it is a small view of a large storage, and `forward` can read the rest.

`nn.Parameter(large[:1])` counts one element, but `as_strided` and `resize_` reach all of `large` from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from archcheck.facts.records import Hidden
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.memory import storage_of
from archcheck.measure.structure.external_numbers import acting_by
from archcheck.measure.subject.module_tree import Tree

_PLAIN = frozenset({"reshape", "permute", "slice", "copy"})
"""Kinds that return numbers unchanged."""
_REACHING = frozenset({"as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "resize_", "resize_as_"})
"""Operators that can reach the whole storage of a tensor."""


def reachable_memory(trace: Trace, tree: Tree, root: str) -> Iterator[Hidden]:
    """Yield the memory beside parameters and buffers that a live operation can reach."""
    reaching = [event for event in trace.events if event.op in _REACHING and trace.live[event.index]]
    held = dict([*tree.parameters(), *tree.buffers()]) if reaching else {}
    for event in reaching:
        for name in _names_behind(event, trace):
            more = _elements_beside(held[name], tree)
            if more > 0:
                told = {"name": f"{name} (the memory beside it)", "shape": (more,), "elements": more, "numbers": more}
                yield acting_by(event, root, **told, origin="memory")


def _names_behind(event: Event, trace: Trace) -> set[str]:
    """Return the parameters and buffers whose storage an operation reads, directly or through views."""
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
    """Return how many elements the storage of a tensor holds beside all parameters and buffers in it."""
    storage = storage_of(tensor)
    if storage is None:
        return 0
    owned = sum(each.numel() * each.element_size() for each in tree.tensors() if _is_in(each, storage))
    return (storage.nbytes() - owned) // tensor.element_size()


def _is_in(tensor: torch.Tensor, storage: torch.UntypedStorage) -> bool:
    other = storage_of(tensor)
    return other is not None and other._cdata == storage._cdata
