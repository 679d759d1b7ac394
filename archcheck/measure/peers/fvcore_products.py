"""Count the products for which fvcore has another formula than archcheck, and explain the difference."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from archcheck.measure.operators.einsum_cost import contraction_macs

Key = tuple[str, str]
"""The path of a layer, and an operator."""

ROUNDED = "fvcore takes numpy's estimate of an einsum, which is rounded to four digits"
HALVED = "fvcore counts half of an einsum that sums nothing"
ALONE = "fvcore counts an einsum of one operand, which multiplies nothing"
REORDERED = "fvcore counts an einsum of several operands in numpy's order, archcheck in torch's"
LEFT_ONLY = "fvcore counts a product by the shape of its left side, which the right side stretches here"


@dataclass(frozen=True, slots=True)
class Product:
    """One product in archcheck's convention, and why fvcore may count it differently."""

    flops: int
    activations: int
    oddity: str


class Products:
    """Watches the products that an analysis of fvcore counts, without changing the analysis.

    `exact` are archcheck's counts of these products by quantity, layer and operator, and `oddities` the reasons why
    fvcore's formula differs. `path_of` turns a scope of fvcore into a layer's path.
    """

    def __init__(self, flops: Any, path_of: Callable[[str], str]) -> None:
        from fvcore.nn.jit_handles import einsum_flop_jit, matmul_flop_jit

        self.exact: dict[str, Counter[Key]] = {"flops": Counter(), "activations": Counter()}
        self.oddities: defaultdict[Key, dict[str, None]] = defaultdict(dict)
        self._path_of = path_of
        flops.set_op_handle("aten::einsum", self._watched("einsum", einsum_flop_jit, _einsum))
        flops.set_op_handle("aten::matmul", self._watched("matmul", matmul_flop_jit, _matmul))

    def _watched(self, op: str, count: Any, product_of: Callable[[Any, Any], Product]) -> Any:
        def watched(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
            theirs = count(inputs, outputs)
            key = self._path_of(outputs[0].node().scopeName()), op
            product = product_of(inputs, outputs)
            self.exact["flops"][key] += product.flops
            self.exact["activations"][key] += product.activations
            if product.flops != theirs:
                self.oddities[key][product.oddity] = None
            return theirs

        return watched


def _matmul(inputs: Sequence[Any], outputs: Sequence[Any]) -> Product:
    elements = math.prod(_shape(outputs[0]))
    return Product(elements * _shape(inputs[0])[-1], elements, LEFT_ONLY)


def _einsum(inputs: Sequence[Any], outputs: Sequence[Any]) -> Product:
    shapes, elements = [_shape(value) for value in inputs[1].node().inputs()], math.prod(_shape(outputs[0]))
    path = [int(each.toIValue()) for each in inputs[2].node().inputs()] if len(inputs) > 2 else None
    macs = contraction_macs(inputs[0].toIValue(), shapes, path)
    if len(shapes) == 1:
        return Product(macs, 0, ALONE)
    if len(shapes) > 2:
        return Product(macs, elements, REORDERED)
    return Product(macs, elements, HALVED if macs == elements else ROUNDED)


def _shape(value: Any) -> list[int]:
    sizes: list[int] = value.type().sizes()
    return sizes
