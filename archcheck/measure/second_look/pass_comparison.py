"""Compares two passes of a model: what they execute, whatever the batch, and the numbers they give."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from archcheck.facts.selectors import GROUPS
from archcheck.foundation.source_place import Where
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.trace_record import Trace
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import relative

_CLOSE = 1e-3
"""How far numbers may be apart, as a share of the largest: other kernels sum in another order."""

APART = 10
"""How many times farther than by chance numbers are apart that something else moves, where they never repeat."""

_MEANT = frozenset(
    kind for group in ("norm", "activation", "pool", "recurrent", "weights") for kind in GROUPS[group]
) | {"dropout", "matmul", "softmax", "log_softmax"}
"""Kinds that nobody chooses but the model; for others, such as distances, torch may choose a kernel by their size."""

Sign = tuple[str, str, str, tuple[str, ...], Where | None]
"""What an operation is in any batch: kind, operator, layer, parameters and line."""


def sign(event: Event) -> Sign:
    """Return what an operation is in any batch."""
    return event.kind, event.op, event.layer, event.params, event.where


def signs(trace: Trace) -> dict[Sign, Event]:
    """Return the operations on the way from an input to an output."""
    return {
        sign(event): event
        for event, live, dependent in zip(trace.events, trace.live, trace.dependent, strict=True)
        if live and dependent
    }


def only_begins(missing: Collection[Sign], more: Collection[Sign]) -> bool:
    """Whether what a later pass leaves out may have set a model up: copies and sums, say, and nothing instead."""
    return not more and all(kind not in _MEANT for kind, *_ in missing)


def beyond(found: Mapping[Sign, Event], others: Mapping[Sign, Event]) -> set[Sign]:
    """Return the signs that are not among `others`, but for what torch chooses by size on a line that runs in both."""
    read: dict[tuple[str, Where | None], set[str]] = {}
    for _, _, layer, params, where in others:
        read.setdefault((layer, where), set()).update(params)
    return {each for each in found.keys() - others.keys() if not _is_choice_of_torch(each, read)}


def _is_choice_of_torch(one: Sign, read: Mapping[tuple[str, Where | None], set[str]]) -> bool:
    kind, _, layer, params, where = one
    return kind not in _MEANT and (layer, where) in read and read[layer, where].issuperset(params)


def constants(trace: Trace) -> list[Event]:
    """Return the floating numbers from outside on the way to an output."""
    made = (event for event, live in zip(trace.events, trace.live, strict=True) if live and event.kind == "constant")
    return [event for event in made if "float" in (event.dtype or "")]


def quiet_in(trace: Trace) -> frozenset[Sign]:
    """Return the operations that reach an output by the letter, and by none of the edges over which something comes."""
    assert trace.silence is not None
    loud, pending = [False] * len(trace.events), [index for index in trace.outputs if index >= 0]
    while pending:
        index = pending.pop()
        if not loud[index]:
            loud[index] = True
            pending += [made for made in trace.events[index].inputs if (index, made) not in trace.silence.cut]
    heard = {sign(event) for event in trace.events if loud[event.index]}
    return frozenset(sign(event) for event in trace.events if trace.live[event.index]) - heard


def on_parameters_alone(trace: Trace, tree: Tree) -> dict[Sign, tuple[str, ...]]:
    """Return the live operations on parameters alone, with their names, as far as no other reads these.

    Whatever an input takes part in may say nothing to some inputs: those of an expert that none of them asks.
    """
    reading = [event for event in trace.events if event.params and trace.live[event.index]]
    beside = {name for event in reading if trace.dependent[event.index] for name in event.params}
    known = {tree.names[id(each)] for _, each in tree.parameters() if each.is_floating_point()} - beside
    return {sign(event): event.params for event in reading if known.issuperset(event.params)}


def named(found: Collection[Sign], root: str) -> str:
    """Name the first of several operations, layers of torch first, and how many more there are."""
    kind, op, layer, _, where = min(found, key=lambda each: (not each[3], str(each[4])))
    place = relative(where, root)
    more = len(found) - 1
    named = f"{kind} in `{layer}`" if layer else f"{kind} (`{op}`)"
    return f"{named}{f' at {place}' if place else ''}{f' and {more} more' if more else ''}"


def are_close(first: Any, second: Any) -> bool:
    """Whether two outputs hold the same tensors, but for the order in which kernels sum."""
    pairs = list(zip(tensors_in(first), tensors_in(second), strict=False))
    if not len(pairs) == len(list(tensors_in(first))) == len(list(tensors_in(second))):
        return False
    with torch.inference_mode():  # outside of it, torch does not lay out what is compressed and made in it
        return all(_is_close(a.detach(), b.detach()) for a, b in pairs)


def _is_close(first: torch.Tensor, second: torch.Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.layout is not torch.strided:
        return first.layout is second.layout and _is_close(first.to_dense(), second.to_dense())
    if first.is_complex():
        return _is_close(as_real(first), as_real(second))
    if not first.is_floating_point():
        return bool(torch.equal(first, second))
    largest = float(first.double().abs().nan_to_num(0.0, 0.0, 0.0).max()) if first.numel() else 0.0
    return torch.allclose(first.double(), second.double(), rtol=0.0, atol=_CLOSE * max(largest, 1e-6), equal_nan=True)


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """Return a complex tensor as pairs of real numbers, a quantised one as the numbers it stands for, others as is."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def apart(first: torch.Tensor | None, second: torch.Tensor | None) -> float:
    """Return the largest difference of two tensors, infinity if they have not even the same shape."""
    if first is None or second is None or first.shape != second.shape or first.layout is not second.layout:
        return 0.0 if first is second else float("inf")
    pair = [as_real(each.detach().to_dense()).double().nan_to_num() for each in (first, second)]
    return float((pair[0] - pair[1]).abs().max()) if first.numel() else 0.0


Faults = frozenset[int]
"""Which tensors of an output have something in them that is no number, in the order of `tensors_in`."""


def faults_of(output: Any) -> Faults:
    """Return which tensors of an output hold what a computation leaves that went wrong.

    Minus infinity is no fault: it stands for what is not to be chosen.
    """
    tensors = (each for each in tensors_in(output) if each.layout == torch.strided)
    return frozenset(index for index, each in enumerate(tensors) if _is_faulty(each))


def _is_faulty(tensor: torch.Tensor) -> bool:
    if tensor.is_quantized:  # which has no room for them
        return False
    if tensor.is_complex():
        return not bool(tensor.isfinite().all())
    return bool((tensor.isnan() | tensor.isposinf()).any())
