"""Products that fvcore counts by a formula of its own: what they take by ours, and what is different about its."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from archcheck.measure.contraction import contraction_macs

Key = tuple[str, str]
"""The path of a layer, and an operator."""

ROUNDED = "fvcore takes numpy's estimate of an einsum, which is rounded to four digits"
HALVED = "fvcore counts half of an einsum that sums nothing"
ALONE = "fvcore counts an einsum of one operand, which multiplies nothing"
REORDERED = "fvcore counts an einsum of several operands in numpy's order, archcheck in torch's"
LEFT_ONLY = "fvcore counts a product by the shape of its left side, which the right side stretches here"


class Products:
    """Watches what an analysis of fvcore counts, and changes nothing of it.

    `exact` is our count of the products that fvcore saw, by layer and operator; `oddities` are the ways in which
    fvcore's formula differs from ours on any of them. `path_of` turns a scope of fvcore's into the path of a layer.
    """

    def __init__(self, flops: Any, path_of: Callable[[str], str]) -> None:
        from fvcore.nn.jit_handles import einsum_flop_jit, matmul_flop_jit

        self.exact: Counter[Key] = Counter()
        self.oddities: defaultdict[Key, dict[str, None]] = defaultdict(dict)
        self._path_of = path_of
        flops.set_op_handle("aten::einsum", self._watched("einsum", einsum_flop_jit, _einsum))
        flops.set_op_handle("aten::matmul", self._watched("matmul", matmul_flop_jit, _matmul))

    def _watched(self, op: str, count: Any, exactly: Callable[[Any, Any], tuple[int, str]]) -> Any:
        def watched(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
            theirs = count(inputs, outputs)
            key = self._path_of(outputs[0].node().scopeName()), op
            macs, oddity = exactly(inputs, outputs)
            self.exact[key] += macs
            if macs != theirs:
                self.oddities[key][oddity] = None
            return theirs

        return watched


def _matmul(inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[int, str]:
    return math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1], LEFT_ONLY


def _einsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[int, str]:
    equation = inputs[0].toIValue()
    shapes = [_shape(value) for value in inputs[1].node().inputs()]
    macs = contraction_macs(equation, shapes)
    if len(shapes) != 2:
        return macs, ALONE if len(shapes) == 1 else REORDERED
    return macs, HALVED if macs == math.prod(_shape(outputs[0])) else ROUNDED


def _shape(value: Any) -> list[int]:
    sizes: list[int] = value.type().sizes()
    return sizes
