"""Changes parameters without changing what code reads of them besides their numbers."""

from __future__ import annotations

import torch

from archcheck.measure.passes.saved_values import row_of
from archcheck.measure.shapes.noise import normal, uniform

_AT_ONCE = 1 << 20
"""Numbers that are moved at a time, so that a large parameter is not held several times."""


def nudge(tensor: torch.Tensor, scale: float, generator: torch.Generator, *, up: bool = False) -> None:
    """Move the numbers of a tensor by about `scale`, with `up` those that are zero only upwards.

    Each moves away from zero and keeps its sign and what it is rounded or cut to: some parameters hold signs or counts
    that are cast to integers, as those of `torch.nn.utils.parametrizations.orthogonal` do.
    """
    with torch.no_grad():
        for part in torch.split(row_of(tensor), _AT_ONCE):
            drawn = uniform if up else normal
            part.copy_(_moved(part, (drawn(part.shape, generator) * scale).to(part)))


def _moved(numbers: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    sizes = numbers.abs()
    if bool((torch.maximum(sizes, by.abs()) < 0.5).all()):  # as most are: nothing here is rounded or cut to another
        return torch.where(numbers == 0, by, numbers + numbers.sign() * torch.minimum(by.abs(), (0.5 - sizes) / 2))
    left = (torch.floor(2 * sizes) + 1) / 2 - sizes  # to the next number at which rounding or cutting jumps
    moved = numbers + numbers.sign() * torch.minimum(by.abs(), left / 2)
    moved = torch.where(numbers == 0, by, moved)
    same = (moved.round() == numbers.round()) & (moved.trunc() == numbers.trunc())
    return torch.where(same, moved, numbers)
