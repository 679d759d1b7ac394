"""Find where two counts by layer and operator differ, and the known reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from archcheck.facts.cross_checks import UNEXPLAINED, Difference
from archcheck.measure.operators.schema import operator_of
from archcheck.measure.peers.fvcore_counts import Side
from archcheck.measure.peers.fvcore_products import Key, Products

PADDED_BY_WORD = "_convolution_mode"
"""The operator of a convolution whose padding is a word, `padding="same"`."""

_FUNCTION = "prim::PythonOp."
_SCRIPT = "prim::CallFunction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known besides the counts.

    `bounded` are the places of operations whose sizes depend on data; `uncounted` are operators without a known cost.
    """

    products: Products
    bounded: frozenset[Key]
    uncounted: frozenset[str]


def differences(quantity: str, ours: Mapping[Key, int], side: Side, evidence: Evidence) -> Iterator[Difference]:
    """Yield every difference between archcheck's count of a quantity and fvcore's `side`, in the order of `ours`."""
    pairs = {key: (ours.get(key, 0), side.own.get(key, 0)) for key in {**ours, **side.own}}
    unequal = {key: counts for key, counts in pairs.items() if counts[0] != counts[1]}
    reasons = {key: _reason(quantity, key, *counts, side, evidence) for key, counts in unequal.items()}
    rest = {key: counts for key, counts in unequal.items() if not reasons[key]}
    renamed = _renamed(rest)
    rest = {key: counts for key, counts in rest.items() if key not in renamed}
    reasons |= renamed | _moved(rest)
    for (layer, op), (mine, theirs) in unequal.items():
        reason = reasons[layer, op] or UNEXPLAINED
        yield Difference(layer=layer, op=op, ours=mine, fvcore=theirs, reason=reason, quantity=quantity)


def _reason(quantity: str, key: Key, ours: int, fvcore: int, side: Side, evidence: Evidence) -> str:
    """Return the reason that explains one difference by itself, empty if there is none."""
    layer, op = key
    if not fvcore and any(op in names for names in side.unknown.values()):
        return _unknown(op, quantity)
    if key in evidence.products.oddities and evidence.products.exact[quantity][key] == ours:
        return "; ".join(evidence.products.oddities[key])
    if ours > fvcore and (hidden := _unseen(layer, side)):
        return hidden
    if key in evidence.bounded:
        return "its sizes depend on data, for which archcheck took a bound"
    if not ours and op in evidence.uncounted:
        return f"archcheck does not know the cost of `{op}`"
    return ""


def _unknown(op: str, quantity: str) -> str:
    what = 'a convolution whose padding is a word, such as "same",' if op == PADDED_BY_WORD else "this operator"
    if quantity == "activations":
        return f"fvcore does not count the outputs of {what.rstrip(',')}"
    return f"fvcore does not know {what} and counts nothing"


def _unseen(layer: str, side: Side) -> str:
    """Return why fvcore's tracer does not see operations of a layer, empty if it sees all."""
    names = side.unknown[layer]
    if _SCRIPT in names:
        return "fvcore does not look into scripted functions"
    if composite := sorted(filter(_is_composite, names)):
        return f"fvcore does not know {_listed(composite)}, into which archcheck looks"
    if functions := sorted(name.removeprefix(_FUNCTION) for name in _around(layer, side) if name.startswith(_FUNCTION)):
        return f"fvcore does not look into {_listed(functions)}, an autograd function of the model's own"
    return ""


def _around(layer: str, side: Side) -> frozenset[str]:
    """Return the unknown operators of a layer and its parents, because an autograd function may call layers."""
    steps = layer.split(".")
    return frozenset().union(*(side.unknown.get(".".join(steps[:end]), ()) for end in range(len(steps) + 1)))


def _listed(names: list[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _is_composite(name: str) -> bool:
    """Whether archcheck counts the parts of an operator of torch instead of the operator."""
    packet = getattr(torch.ops.aten, name, None)
    return packet is not None and any(operator_of(getattr(packet, each)).inside for each in packet.overloads())


def _renamed(unequal: Mapping[Key, tuple[int, int]]) -> dict[Key, str]:
    """Return reasons for layers in which the same work has other names, so that the sums over the names agree."""
    by_layer: defaultdict[str, list[Key]] = defaultdict(list)
    for key in unequal:
        by_layer[key[0]].append(key)
    reasons: dict[Key, str] = {}
    for keys in by_layer.values():
        if sum(unequal[key][0] - unequal[key][1] for key in keys) == 0:
            ours = _listed(sorted(op for layer, op in keys if unequal[layer, op][0] > unequal[layer, op][1]))
            theirs = _listed(sorted(op for layer, op in keys if unequal[layer, op][0] < unequal[layer, op][1]))
            reasons.update(dict.fromkeys(keys, f"the same work: {ours} for archcheck, {theirs} for fvcore"))
    return reasons


def _moved(unequal: Mapping[Key, tuple[int, int]]) -> dict[Key, str]:
    """Return reasons for operators that fvcore counts in an outer layer, such as those of a forward pre-hook."""
    reasons: dict[Key, str] = {}
    for (outer, op), (mine, theirs) in unequal.items():
        inside = [key for key in unequal if key != (outer, op) and key[1] == op and _is_inside(key[0], outer)]
        if theirs > mine and theirs - mine == sum(unequal[key][0] - unequal[key][1] for key in inside):
            where = f"`{outer}`" if outer else "the model itself"
            reason = f"it runs as a layer is called: archcheck counts it in that layer, fvcore in {where}"
            reasons.update(dict.fromkeys((*inside, (outer, op)), reason))
    return reasons


def _is_inside(layer: str, outer: str) -> bool:
    return layer.startswith(f"{outer}." if outer else "") and layer != outer
