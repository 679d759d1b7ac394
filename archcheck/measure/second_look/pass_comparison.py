"""Compares two passes of a model: what they execute, independent of the batch, and the numbers they return."""

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
"""Largest difference of equal numbers, as a share of the largest number: kernels sum in different orders."""

APART = 10
"""How many times more than from run to run numbers must differ before something else counts as the cause."""

_MEANT = frozenset(
    kind for group in ("norm", "activation", "pool", "recurrent", "weights") for kind in GROUPS[group]
) | {"dropout", "matmul", "softmax", "log_softmax"}
"""Kinds that only the model chooses; for others, such as distances, torch may choose the kernel by their size."""

Identity = tuple[str, str, str, tuple[str, ...], Where | None]
"""What identifies an operation in any batch: kind, operator, layer, parameters and line."""


def identity_of(event: Event) -> Identity:
    """Return what identifies an operation in any batch."""
    return event.kind, event.op, event.layer, event.params, event.where


def identities_of(trace: Trace) -> dict[Identity, Event]:
    """Return the operations on the way from an input to an output."""
    return {
        identity_of(event): event
        for event, live, dependent in zip(trace.events, trace.live, trace.dependent, strict=True)
        if live and dependent
    }


def is_setup_alone(missing: Collection[Identity], more: Collection[Identity]) -> bool:
    """Whether a later pass adds nothing and leaves out only what may have set up the model, such as copies and sums."""
    return not more and all(kind not in _MEANT for kind, *_ in missing)


def not_among(found: Mapping[Identity, Event], others: Mapping[Identity, Event]) -> set[Identity]:
    """Return what is not among `others`, except what torch chooses by size on a line that runs in both."""
    read: dict[tuple[str, Where | None], set[str]] = {}
    for _, _, layer, params, where in others:
        read.setdefault((layer, where), set()).update(params)
    return {each for each in found.keys() - others.keys() if not _is_choice_of_torch(each, read)}


def _is_choice_of_torch(one: Identity, read: Mapping[tuple[str, Where | None], set[str]]) -> bool:
    kind, _, layer, params, where = one
    return kind not in _MEANT and (layer, where) in read and read[layer, where].issuperset(params)


def constants(trace: Trace) -> list[Event]:
    """Return the constant floating-point tensors on the way to an output."""
    made = (event for event, live in zip(trace.events, trace.live, strict=True) if live and event.kind == "constant")
    return [event for event in made if "float" in (event.dtype or "")]


def dead_in(trace: Trace) -> frozenset[Identity]:
    """Return the live operations from which no path leads to an output over edges that carry information."""
    assert trace.silence is not None
    reached, pending = [False] * len(trace.events), [index for index in trace.outputs if index >= 0]
    while pending:
        index = pending.pop()
        if not reached[index]:
            reached[index] = True
            pending += [made for made in trace.events[index].inputs if (index, made) not in trace.silence.cut]
    effective = {identity_of(event) for event in trace.events if reached[event.index]}
    return frozenset(identity_of(event) for event in trace.events if trace.live[event.index]) - effective


def on_parameters_alone(trace: Trace, tree: Tree) -> dict[Identity, tuple[str, ...]]:
    """Return the live operations on parameters alone, with their names, unless other operations read these.

    Operations on an input may be without effect for some inputs: those of an expert that no sample selects.
    """
    reading = [event for event in trace.events if event.params and trace.live[event.index]]
    beside = {name for event in reading if trace.dependent[event.index] for name in event.params}
    known = {tree.names[id(each)] for _, each in tree.parameters() if each.is_floating_point()} - beside
    return {identity_of(event): event.params for event in reading if known.issuperset(event.params)}


def named(found: Collection[Identity], root: str) -> str:
    """Return a text that names the first of several operations and counts the others; operations of layers first."""
    kind, op, layer, _, where = min(found, key=lambda each: (not each[3], str(each[4])))
    place = relative(where, root)
    more = len(found) - 1
    named = f"{kind} in `{layer}`" if layer else f"{kind} (`{op}`)"
    return f"{named}{f' at {place}' if place else ''}{f' and {more} more' if more else ''}"


def are_close(first: Any, second: Any) -> bool:
    """Whether two outputs hold the same tensors, up to the order in which kernels sum."""
    pairs = list(zip(tensors_in(first), tensors_in(second), strict=False))
    if not len(pairs) == len(list(tensors_in(first))) == len(list(tensors_in(second))):
        return False
    with torch.inference_mode():  # outside it, torch refuses `to_dense` of tensors made in it
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
    """Return a complex tensor as pairs of real numbers, a quantised one dequantised, any other as it is."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def largest_difference(first: torch.Tensor | None, second: torch.Tensor | None) -> float:
    """Return the largest difference of two tensors, infinity if their shapes differ."""
    if first is None or second is None or first.shape != second.shape or first.layout is not second.layout:
        return 0.0 if first is second else float("inf")
    pair = [as_real(each.detach().to_dense()).double().nan_to_num() for each in (first, second)]
    return float((pair[0] - pair[1]).abs().max()) if first.numel() else 0.0


Faults = frozenset[int]
"""Indices of the tensors of an output that hold NaN or infinity, in the order of `tensors_in`."""


def faults_of(output: Any) -> Faults:
    """Return which tensors of an output hold NaN or infinity.

    Minus infinity is no fault of a real tensor: it marks what must not be chosen.
    """
    tensors = (each for each in tensors_in(output) if each.layout == torch.strided)
    return frozenset(index for index, each in enumerate(tensors) if _is_faulty(each))


def _is_faulty(tensor: torch.Tensor) -> bool:
    if tensor.is_quantized:  # which cannot hold them
        return False
    if tensor.is_complex():
        return not bool(tensor.isfinite().all())
    return bool((tensor.isnan() | tensor.isposinf()).any())
