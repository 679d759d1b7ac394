"""Count activations as published tables do: elements of the outputs of convolutions and matrix products.

Attention counts its two products: the score matrix (…, L, S) and the output (…, L, Ev). A recurrent cell counts its two
linear maps, of the input and of the state, to all of its gates. Recurrent layers count nothing, because their products
stay inside one operation. Elementwise operations count nothing (fvcore 0.1.5, `ActivationCountAnalysis`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from archcheck.facts.records import Op

_PRODUCTS = frozenset({"conv", "global_conv", "conv_transpose", "linear", "matmul", "attention", "bilinear"})
_GATES = {"lstm_cell": 4, "gru_cell": 3, "rnn_tanh_cell": 1, "rnn_relu_cell": 1}


def activations_of(ops: Iterable[Op]) -> int:
    """Return the activations of an executed graph, in elements."""
    return sum(_elements(op) for op in ops if (op.kind in _PRODUCTS or op.op in _GATES) and op.macs)


def _elements(op: Op) -> int:
    if not op.shapes:
        return 0
    products = 2 * _GATES[op.op] if op.op in _GATES else 1
    return int(op.attributes.get("scores", 0)) + products * math.prod(op.shapes[0])
