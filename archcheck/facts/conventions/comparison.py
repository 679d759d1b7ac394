"""The number of a tool beside the true one: the total, and where both differ by layer and operator, with the reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archcheck.facts.calls import CALLS, Calls
from archcheck.facts.conventions import deepspeed, flop_counter, fvcore, ptflops, thop, torch_scan, torchinfo
from archcheck.facts.conventions.counting import Convention, Entry, Refused, family
from archcheck.facts.cross_checks import Departure, ToolCount
from archcheck.facts.facts import Facts, lineage
from archcheck.facts.records import Op
from archcheck.facts.selectors import instance, kinds_of, selects
from archcheck.foundation.errors import NotMeasured

CONVENTIONS: Mapping[str, Convention] = {
    each.name: each
    for each in (
        torchinfo.CONVENTION,
        fvcore.CONVENTION,
        ptflops.CONVENTION,
        thop.CONVENTION,
        flop_counter.CONVENTION,
        deepspeed.CONVENTION,
        torch_scan.CONVENTION,
        fvcore.TIMM,
    )
}
"""The name of a tool, of those in `TOOLS` -> how it counts."""

_PRODUCTS = frozenset({"conv", "conv_transpose", "linear", "bilinear", "matmul", "attention", "lstm", "gru", "rnn"})
"""Kinds that tools give other names to: a linear layer is `addmm` below autograd."""

Key = tuple[str, str]
"""The path of a layer, and a kind."""


def counted_as(facts: Facts, name: str, on: str | None = None) -> ToolCount:
    """Return what a tool counts of the measured forward pass, of the part that the selector `on` points at.

    Raises:
        NotMeasured: the facts hold no record of calls.
    """
    convention = CONVENTIONS[name]
    if facts.calls is None:
        reasons = [text for text in facts.unmeasured if text.startswith(f"{CALLS}: ")]
        raise NotMeasured(
            "; ".join([f"the calls that {name} counts were not recorded", *reasons]),
            fix="measure the code of the model; an exported program and a report without `--as` have no record",
        )
    one = facts.in_pass(0)
    ops = [op for op in one.ops if op.macs and selects(on, op, one)]
    count = ToolCount(
        tool=name, unit=convention.unit, version=convention.version, macs=sum(op.macs for op in ops), total=None
    )
    try:
        entries = [each for each in convention.entries(facts.calls) if _selects(on, each, one)]
    except Refused as refusal:
        return replace(count, error=str(refusal))
    differences = tuple(_departures(facts.calls, convention, ops, entries))
    return replace(count, total=sum(each.amount for each in entries), differences=differences)


def _selects(on: str | None, entry: Entry, facts: Facts) -> bool:
    if on is None:
        return True
    if kinds := kinds_of(on):
        return entry.operator in {family(kind) for kind in kinds}
    return instance(on, entry.layer, facts) is not None


def _departures(
    calls: Calls, convention: Convention, ops: Sequence[Op], entries: Sequence[Entry]
) -> Iterator[Departure]:
    """Yield where both counts differ, in the order of execution."""
    ours, theirs, reasons = Counter[Key](), Counter[Key](), defaultdict[Key, dict[str, None]](dict)
    whole = {entry.layer: entry.operator for entry in entries if entry.whole}
    for op in ops:
        outer = next((path for path in lineage(op.layer) if path in whole), None)
        key = (op.layer, family(op.kind)) if outer is None else (outer, whole[outer])
        ours[key] += op.macs * convention.per_mac
    for entry in entries:
        theirs[entry.layer, entry.operator] += entry.amount
        if entry.reason:
            reasons[entry.layer, entry.operator][entry.reason] = None
    for old, new in _renamed(ours, theirs).items():
        theirs[new] += theirs.pop(old)
        reasons[new] |= reasons.pop(old, {})
    for key in dict.fromkeys((*ours, *theirs)):
        if ours[key] != theirs[key]:
            layer, operator = key
            reason = "; ".join(reasons[key]) if theirs[key] else ""
            reason = reason or _why(convention, calls, operator, layer, theirs[key])
            yield Departure(layer=layer, op=operator, ours=ours[key], theirs=theirs[key], reason=reason)


def _why(convention: Convention, calls: Calls, operator: str, layer: str, told: int) -> str:
    if told:
        return f"{convention.name} counts it by a formula of its own"
    return convention.missed(calls.by_path.get(layer), operator)


def _renamed(ours: Mapping[Key, int], theirs: Mapping[Key, int]) -> dict[Key, Key]:
    """Return for products that a tool names otherwise in a layer the name that they have here.

    That is the kind of the layer of which as many are missing, else the one of which most are.
    """
    missing: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (layer, kind), amount in ours.items():
        if kind in _PRODUCTS:
            missing[layer][kind] = amount - theirs.get((layer, kind), 0)
    renamed: dict[Key, Key] = {}
    for (layer, kind), amount in theirs.items():
        left = missing[layer]
        if kind not in _PRODUCTS or kind in left or not left:
            continue
        nearest = min(
            left, key=lambda each: (left[each] != amount, each != "linear" or left[each] < amount, -left[each])
        )
        left[nearest] -= amount
        renamed[layer, kind] = layer, nearest
    return renamed
