"""The multiply-accumulates of an einsum, contracted pair by pair in the order that torch takes.

Torch contracts from left to right, or along the path that `opt_einsum` found where that package is installed.
Before two operands meet, each is summed over the indices that nothing else needs; the product of the index sizes
that remain is the number of terms.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Sizes = dict[object, int]
"""Index -> size. Axes of size one are left out: they are broadcast, and no term comes from them."""


def contraction_macs(equation: str, shapes: Sequence[Sequence[int]], path: Sequence[int] | None = None) -> int:
    """Return the multiply-accumulates of `torch.einsum(equation, …)`; an einsum of one operand has none.

    `path` holds the positions of each pair in turn, as torch hands them on: a result goes to the end of the
    operands, and to their front when there is no path.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    indices = [_indices(letters, len(shape)) for letters, shape in zip(left.split(","), shapes, strict=True)]
    hidden = max((-index for indexed in indices for index in indexed if isinstance(index, int)), default=0)
    kept = set(_indices(right, len(right.replace("...", "")) + hidden)) if arrow else _once(indices)
    operands = [_sizes(*pair) for pair in zip(indices, shapes, strict=True)]
    total = 0
    for step in range(len(operands) - 1):
        first, second = sorted(path[2 * step : 2 * step + 2]) if path else (0, 1)
        right_operand, left_operand = operands.pop(second), operands.pop(first)
        needed = kept.union(*operands)
        terms = _needed(left_operand, needed | right_operand.keys()) | _needed(
            right_operand, needed | left_operand.keys()
        )
        total += math.prod(terms.values())
        operands.insert(len(operands) if path else 0, _needed(terms, needed))
    return total


def summed_axes(equation: str, axes: int) -> tuple[int, ...]:
    """Return the axes over which an einsum of one operand sums it, if it does no more than that."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    if not arrow or "," in left:
        return ()
    indices = _indices(left, axes)
    hidden = sum(isinstance(index, int) for index in indices) if "..." in right else 0
    kept = _indices(right, len(right.replace("...", "")) + hidden)
    if len(set(indices)) < axes or [index for index in indices if index in kept] != kept:
        return ()
    return tuple(axis for axis, index in enumerate(indices) if index not in kept)


def _indices(letters: str, axes: int) -> list[object]:
    """Return one index an axis; those of an ellipsis are counted from its end, where broadcasting aligns them."""
    before, dots, after = letters.partition("...")
    hidden = axes - len(before) - len(after) if dots else 0
    return [*before, *range(-hidden, 0), *after]


def _once(indices: Sequence[Sequence[object]]) -> set[object]:
    """Return the indices of an output that is not spelled out: an ellipsis, and every letter that stands once."""
    counts = Counter(index for indexed in indices for index in indexed)
    return {index for index, count in counts.items() if count == 1 or isinstance(index, int)}


def _sizes(indices: Sequence[object], shape: Sequence[int]) -> Sizes:
    return {index: int(size) for index, size in zip(indices, shape, strict=True) if size != 1}


def _needed(sizes: Sizes, needed: set[object]) -> Sizes:
    return {index: size for index, size in sizes.items() if index in needed}
