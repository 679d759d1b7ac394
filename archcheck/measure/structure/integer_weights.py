"""Finds weights that buffers keep as codes, with scales beside them: quantised layers written by hand.

Codes are integers or eight-bit floats. Their scales are floats of the same layer or, in blocks of bytes, a part of them
that is read as floats. The codes are saved with the model. Each weight that is unpacked from them counts as a
parameter, as do the scales and the bias (`quantisation_scales`), so that none is hidden from a budget. They cannot be
trained parameters, because torch does not train codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from archcheck.facts.records import Hidden, Op
from archcheck.facts.storage import StoredTensor
from archcheck.measure.structure.quantisation_scales import Scaling, place_of, scalings

_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"})
_LARGEST_SCALE = 4
"""Fewest codes that share a scale; if fewer do, the scales are the weights."""


def integer_weights(
    hidden: Iterable[Hidden], stored: Iterable[StoredTensor], graphs: Iterable[Sequence[Op]]
) -> Mapping[str, int]:
    """Return by name the buffers that are quantised weights, scales or biases, and how many weights each counts as."""
    graphs = list(graphs)
    saved = {each.name: each for each in stored if each.saved}
    buffers = {name: each for name, each in saved.items() if each.sort == "buffer"}
    acting = sorted((each for each in hidden if each.buffer), key=_place)
    scaled = dict(scalings(graphs, {_place(each) for each in acting}))
    wide = {place_of(op): _weights_of(op) for graph in graphs for op in graph}
    blocks = {op.layer: floats for graph in graphs for op in graph if (floats := _floats_of_bytes(op, graph))}
    found: dict[str, int] = {}
    for place, group in groupby(acting, key=_place):
        weights = [buffers[weight.name] for weight in group if weight.name in buffers]
        weighed, scaling = wide.get(place, 0), scaled.get(place, Scaling())
        factors = [saved[name] for name in scaling.names if name in saved and saved[name].sort == "parameter"]
        codes = [
            each
            for each in weights
            if _is_code(each.dtype) and (_has_scale(each, buffers, blocks) or _is_scaled(each, factors, weighed))
        ]
        count, paths = sum(each.elements for each in codes), {_path(each) for each in codes}
        in_blocks = not paths.isdisjoint(blocks)
        several = weighed / count if count and (weighed % count == 0 or (in_blocks and weighed > count)) else 1
        found.update({each.name: round(each.elements * max(1, several)) for each in codes})
        behind = [buffers[each.name] for each in acting if each.name in buffers and each.name in scaling.afterwards]
        scales = [each for each in behind if _path(each) in paths and each.elements <= scaling.channels]
        found.update(
            {each.name: each.elements for each in (*_scales(weights, count), *scales) if each.name not in found}
        )
    return found


def _place(weight: Hidden) -> str:
    return f"{weight.layer} {weight.used_by} {weight.where}"


def _path(stored: StoredTensor) -> str:
    return stored.name.rpartition(".")[0]


def _is_code(dtype: str) -> bool:
    return dtype in _INTEGERS or dtype.startswith("float8")


def _has_scale(codes: StoredTensor, buffers: Mapping[str, StoredTensor], blocks: Mapping[str, int]) -> bool:
    """Whether the layer of codes holds floats beside or in them, few enough to be their scales."""
    beside = (each for each in buffers.values() if _path(each) == _path(codes))
    within = _LARGEST_SCALE * blocks.get(_path(codes), codes.elements)
    return any(_scales(beside, codes.elements)) or within <= codes.elements


def _is_scaled(codes: StoredTensor, factors: Iterable[StoredTensor], weighed: int) -> bool:
    """Whether a parameter of the layer scales codes, and a product uses every weight unpacked from them."""
    beside = [each for each in factors if _path(each) == _path(codes)]
    unpacked = weighed > 0 and codes.elements > 0 and weighed % codes.elements == 0
    return unpacked and any(_scales(beside, weighed))


def _scales(weights: Iterable[StoredTensor], count: int) -> Iterator[StoredTensor]:
    return (each for each in weights if not _is_code(each.dtype) and each.elements * _LARGEST_SCALE <= count)


def _floats_of_bytes(op: Op, graph: Sequence[Op]) -> int:
    """Return how many floats an operation reads out of bytes, such as scales in blocks of codes."""
    integers = any(graph[index].dtype in _INTEGERS for index in op.inputs)
    return math.prod(op.shapes[0]) if op.op == "view" and integers and not _is_code(op.dtype or "") else 0


def _weights_of(op: Op) -> int:
    """Return how many weights a linear map, a convolution or a product has, 0 for any other operation."""
    told = op.attributes
    if op.kind == "linear" and "in_features" in told:
        return int(told["in_features"]) * int(told.get("out_features", 0))
    if op.kind == "conv" and "in_channels" in told:
        per_group = int(told["in_channels"]) * int(told["out_channels"]) // int(told.get("groups", 1))
        return per_group * int(math.prod(told["kernel"]))
    if op.kind in ("linear", "matmul") and op.shapes and op.shapes[0]:  # rows of the input times a matrix of weights
        return op.macs * op.shapes[0][-1] // max(1, math.prod(op.shapes[0]))
    return 0
