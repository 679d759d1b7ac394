"""Activations by the convention of published tables: elements of the outputs of convolutions and matrix products.

Attention counts as the two products it stands for: its score matrix (…, L, S) and its output (…, L, Ev). Recurrent
layers, whose products stay inside of one operation, count nothing, and neither does elementwise work (fvcore 0.1.5,
`ActivationCountAnalysis`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from archcheck.facts import Op

_PRODUCTS = frozenset({"conv", "conv_transpose", "linear", "matmul", "attention", "bilinear"})


def activations_of(ops: Iterable[Op]) -> int:
    """Return the activations of an executed graph, in elements."""
    return sum(_elements(op) for op in ops if op.kind in _PRODUCTS and op.macs)


def _elements(op: Op) -> int:
    return int(op.attributes.get("scores", 0)) + math.prod(op.shapes[0]) if op.shapes else 0
