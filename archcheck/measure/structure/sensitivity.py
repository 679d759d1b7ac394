"""Decides whether a small change of their inputs changed numbers completely, as in a random generator."""

from __future__ import annotations

import math

import torch

from archcheck.facts.records import MUCH

_APART = 0.25
"""Distance from which a number counts as changed completely, in standard deviations of all."""
_ROUNDED = 1e-2
"""Share of the largest number that the next of a line may be off: large positions are rounded."""
_SHARE = 0.05
"""Share of completely changed numbers from which digits were taken apart."""


def changes_completely(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether numbers changed completely on average."""
    if first.shape != second.shape:
        return True
    moved, limit = _moved(first, second)
    return float(moved.mean()) > limit


def changes_in_many_places(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether more than a few numbers changed completely."""
    if first.shape != second.shape:
        return False
    moved, limit = _moved(first, second)
    return int((moved > limit).sum()) > max(MUCH, _SHARE * moved.numel())


def is_a_recurrence(numbers: torch.Tensor) -> bool:
    """Whether each number of every line along a long axis is the same combination of the two before it.

    That holds for sinusoids of evenly spaced positions, exponentials and products of both, at any frequency. The number
    of a far position changes much when a frequency changes a little, but holds nothing that the frequency does not.
    """
    numbers = torch.view_as_real(numbers.resolve_conj()) if numbers.is_complex() else numbers
    if not numbers.is_floating_point() or not bool(numbers.isfinite().all()):
        return False
    axes = [axis for axis, extent in enumerate(numbers.shape) if extent > MUCH]
    return any(_recurs(numbers.double().movedim(axis, -1).reshape(-1, numbers.shape[axis])) for axis in axes)


def _recurs(lines: torch.Tensor) -> bool:
    before, now = torch.stack([lines[:, :-2], lines[:, 1:-1]], -1), lines[:, 2:, None]
    factors = torch.linalg.pinv(before.mT @ before, hermitian=True) @ (before.mT @ now)
    rest = (now - before @ factors).abs().amax((1, 2))
    return bool((rest <= _ROUNDED * lines.abs().amax(1)).all())


def _moved(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return how far each number moved, and the distance from which it counts as changed completely."""
    if first.is_complex():
        first, second = torch.view_as_real(first.resolve_conj()), torch.view_as_real(second.resolve_conj())
    one, other = (torch.nan_to_num(each.double(), posinf=0.0, neginf=0.0) for each in (first, second))
    return (one - other).abs(), _APART * float(one.std()) if one.numel() > 1 else math.inf
