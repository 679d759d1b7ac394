"""The layers that contribute most to a figure, a line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.rules.queries.bounds import layer_line


def largest_layers(
    facts: Facts, ops: Sequence[Op], amount: Callable[[Sequence[Op]], int], total: int, count: int = 3
) -> tuple[str, ...]:
    """Return the lines of the layers whose operations contribute most."""
    by_layer: dict[str, list[Op]] = {}
    for op in ops:
        by_layer.setdefault(op.layer, []).append(op)
    ranked = sorted(((amount(own), path) for path, own in by_layer.items()), key=lambda item: -item[0])
    layers = [(facts.layer(path), held) for held, path in ranked[:count] if held]
    return tuple(layer_line(layer, held, total) for layer, held in layers if layer is not None)


def largest_maps(facts: Facts, count: int = 3) -> tuple[str, ...]:
    """Return the lines of the layers that give the largest outputs."""
    outputs = [(max(map(math.prod, layer.output_shapes)), layer) for layer in facts.layers if layer.output_shapes]
    leaves = [each for each in outputs if not facts.has_children(each[1].path)]
    ranked = sorted(leaves, key=lambda item: item[0], reverse=True)[:count]
    names = [(layer.path or "the model itself", layer.type, str(layer.where or ""), size) for size, layer in ranked]
    return tuple("  ".join(filter(None, (path, kind, f"{size:,} elements out", at))) for path, kind, at, size in names)
