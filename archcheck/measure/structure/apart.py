"""Whether numbers become others altogether when what they are made of changes a little, as those of a generator do."""

from __future__ import annotations

import math

import torch

from archcheck.parts import MUCH

_APART = 0.25
"""How far a number moves that becomes another altogether, in standard deviations of all."""
_SHARE = 0.05
"""The share of such numbers in what is taken apart."""


def is_apart(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether numbers are others altogether on average."""
    if first.shape != second.shape:
        return True
    moved, limit = _moved(first, second)
    return float(moved.mean()) > limit


def is_taken_apart(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether more than a few numbers are others altogether."""
    if first.shape != second.shape:
        return False
    moved, limit = _moved(first, second)
    return int((moved > limit).sum()) > max(MUCH, _SHARE * moved.numel())


def _moved(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return how far each number moves, and from where on that makes it another."""
    if first.is_complex():
        first, second = torch.view_as_real(first.resolve_conj()), torch.view_as_real(second.resolve_conj())
    one, other = (torch.nan_to_num(each.double(), posinf=0.0, neginf=0.0) for each in (first, second))
    return (one - other).abs(), _APART * float(one.std()) if one.numel() > 1 else math.inf
