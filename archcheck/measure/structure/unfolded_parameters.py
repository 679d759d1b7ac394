"""Finds parameters that hold several numbers each, which arithmetic takes apart: digits, remainders, hashes, chaos.

A product of two vectors, a network that makes weights and a sinusoid of a learned frequency also give more numbers than
they have parameters. But those hardly change when the parameters change by a ten thousandth. Digits change completely,
so the numbers that they give count in place of their parameters.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import partial

import torch

from archcheck.facts.records import MUCH
from archcheck.measure.loading.example import Example
from archcheck.measure.operators.vocabulary import base_name
from archcheck.measure.passes.event import takes_shape_alone
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.trace import Tracer
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.structure.sensitivity import changes_in_many_places, is_a_recurrence

_NUDGE = 1e-4
"""Share by which parameters are changed to see what depends on them."""
_MOVES = frozenset({
    "expand", "repeat", "tile", "cat", "stack", "reshape", "view", "permute", "transpose", "t", "unsqueeze", "squeeze",
    "select", "slice", "unbind", "split", "chunk", "index_select", "index", "gather", "embedding", "flatten", "clone",
    "to", "constant_pad_nd", "roll", "flip", "broadcast_to", "expand_as", "movedim", "alias", "detach", "contiguous",
    "repeat_interleave", "view_as", "reshape_as", "unflatten", "narrow", "swapaxes", "take_along_dim", "type_as",
    "unfold",
})  # fmt: skip
"""Operators that move numbers unchanged; parameters that only these enlarge need no real pass."""

Root = frozenset[str]
"""The parameters that a result depends on; it depends on no input."""


def unfolded(passes: Passes, example: Example, trace: Trace) -> Mapping[str, int]:
    """Return by the first of its parameters how many numbers are taken out of parameters."""
    sizes = {name: tensor.numel() for name, tensor in passes.tree.parameters()}
    suspects = _suspects(trace, sizes)
    if not suspects or not passes.affords(trace):
        return {}
    wanted = frozenset(index for indices in suspects.values() for index in indices)
    make = partial(Tracer, wanted=wanted)
    before = passes.tried_by(make, example)
    if before is None:
        return {}
    plain = before.trace.captured
    if any(index not in plain or plain[index].shape != trace.events[index].shapes[0] for index in wanted):
        return {}  # values decide what runs, and decided otherwise
    after = passes.tried_by(make, example, prepare=partial(_nudge, passes))
    if after is None:
        return {}
    nudged = after.trace.captured
    found = dict[str, int]()
    for root, indices in suspects.items():
        moved = [index for index in indices if index in nudged and changes_in_many_places(plain[index], nudged[index])]
        apart = [index for index in moved if not is_a_recurrence(plain[index])]
        first, *others = sorted(root)
        count = sum(plain[index].numel() for index in apart) - sum(sizes[name] for name in others)
        if count > sizes[first]:
            found[first] = found.get(first, 0) + count
    return found


def _suspects(trace: Trace, sizes: Mapping[str, int]) -> dict[Root, list[int]]:
    """Return results of parameters alone that have more numbers than they and are combined with an input."""
    roots = _roots(trace, sizes)
    met: dict[Root, set[int]] = {}
    for event in trace.events:
        if trace.acting[event.index] and trace.dependent[event.index] and not takes_shape_alone(event):
            for index in event.inputs:
                if roots.get(index):
                    met.setdefault(roots[index], set()).add(index)
    return {
        root: sorted(indices)
        for root, indices in met.items()
        if sum(trace.events[index].elements for index in indices) > sum(sizes[name] for name in root) + MUCH
        and any(_changes(trace, index, roots) for index in indices)
    }


def _roots(trace: Trace, parameters: Container[str]) -> dict[int, Root]:
    """Return for each event that depends on no input the parameters that it depends on."""
    roots: dict[int, Root] = {}
    for event in trace.events:
        if event.kind == "input" or trace.dependent[event.index]:
            continue
        before = [roots[index] for index in event.inputs if index in roots]
        roots[event.index] = frozenset(name for name in event.params if name in parameters).union(*before)
    return roots


def _changes(trace: Trace, index: int, roots: Mapping[int, Root]) -> bool:
    """Whether a result of parameters depends on an operation that changes numbers."""
    behind = (trace.events[each] for each in trace.leading_to([index]))
    return any(roots.get(event.index) and base_name(event.op) not in _MOVES for event in behind)


def _nudge(passes: Passes) -> None:
    with torch.no_grad():
        for _, tensor in passes.tree.parameters():
            if tensor.is_floating_point() or tensor.is_complex():
                tensor.mul_(1 + _NUDGE)
