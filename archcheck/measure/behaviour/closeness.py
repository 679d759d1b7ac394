"""Measures the difference of two outputs relative to their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from archcheck.measure.behaviour.probe_context import Outputs


def distance(one: torch.Tensor, other: torch.Tensor) -> float | None:
    """Return the largest difference of two tensors, divided by the largest absolute number in either.

    NaN equals NaN, and infinities of one sign are equal. `None` for other pairs with a number that is not finite, and
    for tensors of different shapes.
    """
    if one.shape != other.shape:
        return None
    one, other = real_numbers(one), real_numbers(other)
    if one.numel() == 0:
        return 0.0
    usual = one.isfinite() & other.isfinite()
    same = usual | (one.isnan() & other.isnan()) | (one == other)
    if not bool(same.all()):
        return None
    one, other = one[usual], other[usual]
    apart = float((one - other).abs().max()) if len(one) else 0.0
    size = max(float(one.abs().max()), float(other.abs().max())) if len(one) else 0.0
    return apart / size if apart and math.isfinite(apart) and size else 0.0 if not apart else None


NamedDistance = tuple[str, float | None]
"""The name of an output, and a `distance`."""


def farthest(one: Outputs, other: Outputs) -> NamedDistance:
    """Return the name of the output that differs most between two runs, and its `distance`."""
    if one.keys() != other.keys():
        return next(iter(one.keys() ^ other.keys())), None
    return largest((name, distance(tensor, other[name])) for name, tensor in one.items())


def largest(found: Iterable[NamedDistance]) -> NamedDistance:
    """Return the output with the largest distance. `None` is larger than any number."""
    return max(found, key=lambda each: math.inf if each[1] is None else each[1])


def real_numbers(tensor: torch.Tensor) -> torch.Tensor:
    """Return the numbers of a tensor in one row of float64, those of a complex number as two."""
    tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return tensor.detach().double().flatten()
