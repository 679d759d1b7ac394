"""The multiply-accumulates of an einsum, contracted pair by pair in the order of torch.

Torch contracts from left to right, or along the path that `opt_einsum` finds if that package is installed. Before two
operands are multiplied, each is summed over the indices that nothing else needs. The number of terms is the product of
the remaining index sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Sizes = dict[object, int]
"""Index -> size, without axes of size one: they are broadcast and add no terms."""


def contraction_macs(equation: str, shapes: Sequence[Sequence[int]], path: Sequence[int] | None = None) -> int:
    """Return the multiply-accumulates of `torch.einsum(equation, …)`, 0 for one operand.

    `path` holds the positions of each pair in turn, as torch passes them. With a path, a result goes to the end of the
    operands; without one, to their front.
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
    """Return the axes that an einsum of one operand sums over, `()` if it does anything else."""
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
    """Return one index per axis; those of an ellipsis count from its end, where broadcasting aligns them."""
    before, dots, after = letters.partition("...")
    hidden = axes - len(before) - len(after) if dots else 0
    return [*before, *range(-hidden, 0), *after]


def _once(indices: Sequence[Sequence[object]]) -> set[object]:
    """Return the indices of an implicit output: an ellipsis, and every letter that occurs once."""
    counts = Counter(index for indexed in indices for index in indexed)
    return {index for index, count in counts.items() if count == 1 or isinstance(index, int)}


def _sizes(indices: Sequence[object], shape: Sequence[int]) -> Sizes:
    return {index: int(size) for index, size in zip(indices, shape, strict=True) if size != 1}


def _needed(sizes: Sizes, needed: set[object]) -> Sizes:
    return {index: size for index, size in sizes.items() if index in needed}
