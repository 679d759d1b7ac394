"""Weights that are kept as integers in buffers, with their scales beside them: quantised layers written by hand.

The integers are saved with the model, and each that is unpacked of them counts as a parameter. So they hide from no
budget, and no one could train them as parameters: torch trains no integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from archcheck.parts import Hidden, Op
from archcheck.storage import StoredTensor

_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"})
_LARGEST_SCALE = 4
"""How many integers share a scale at least; where there are fewer, the scales are the weights."""


def integer_weights(
    hidden: Iterable[Hidden], stored: Iterable[StoredTensor], graphs: Iterable[Sequence[Op]]
) -> Mapping[str, int]:
    """Return the buffers of integers that act as weights with how many weights each holds, and their scales with 0."""
    buffers = {each.name: each for each in stored if each.sort == "buffer" and each.saved}
    wide = {f"{op.layer} {op.op} {op.where}": _weights_of(op) for graph in graphs for op in graph}
    found: dict[str, int] = {}
    for place, group in groupby(sorted((h for h in hidden if h.buffer), key=_place), key=_place):
        weights = [buffers[weight.name] for weight in group if weight.name in buffers]
        codes = [each for each in weights if each.dtype in _INTEGERS and _has_scale(each, buffers)]
        count = sum(each.elements for each in codes)
        several = wide.get(place, 0) // count if count and wide.get(place, 0) % count == 0 else 1
        found.update({each.name: each.elements * max(1, several) for each in codes})
        found.update(dict.fromkeys(_scales(weights, count), 0))
    return found


def _place(weight: Hidden) -> str:
    return f"{weight.layer} {weight.used_by} {weight.where}"


def _has_scale(codes: StoredTensor, buffers: Mapping[str, StoredTensor]) -> bool:
    """Whether the layer that holds integers holds floating numbers beside them, few enough to be their scales."""
    path = codes.name.rpartition(".")[0]
    beside = (each for name, each in buffers.items() if name.rpartition(".")[0] == path)
    return any(_scales(beside, codes.elements))


def _scales(weights: Iterable[StoredTensor], count: int) -> Iterator[str]:
    return (each.name for each in weights if each.dtype not in _INTEGERS and each.elements * _LARGEST_SCALE <= count)


def _weights_of(op: Op) -> int:
    """Return how many weights a linear map or a convolution has, 0 for any other operation."""
    told = op.attributes
    if op.kind == "linear" and "in_features" in told:
        return int(told["in_features"]) * int(told.get("out_features", 0))
    if op.kind == "conv" and "in_channels" in told:
        per_group = int(told["in_channels"]) * int(told["out_channels"]) // int(told.get("groups", 1))
        return per_group * int(math.prod(told["kernel"]))
    return 0
