"""Changes the numbers of parameters a little, without changing how code branches on them."""

from __future__ import annotations

import torch

from archcheck.measure.passes.saved_values import row_of
from archcheck.measure.shapes.noise import normal, uniform

_AT_ONCE = 1 << 20
"""Numbers that are moved at a time, so that memory never holds several copies of a large parameter."""


def nudge(tensor: torch.Tensor, scale: float, generator: torch.Generator, *, up: bool = False) -> None:
    """Move the numbers of a tensor by about `scale`; with `up`, zeros move only upwards.

    Each number moves away from zero, keeps its sign, and still rounds or truncates to the same integer: some parameters
    hold signs or counts that code casts to integers, as in `torch.nn.utils.parametrizations.orthogonal`.
    """
    with torch.no_grad():
        for part in torch.split(row_of(tensor), _AT_ONCE):
            drawn = uniform if up else normal
            part.copy_(_moved(part, (drawn(part.shape, generator) * scale).to(part)))


def _moved(numbers: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    sizes = numbers.abs()
    if bool((torch.maximum(sizes, by.abs()) < 0.5).all()):  # the usual case: none rounds to another integer
        return torch.where(numbers == 0, by, numbers + numbers.sign() * torch.minimum(by.abs(), (0.5 - sizes) / 2))
    left = (
        torch.floor(2 * sizes) + 1
    ) / 2 - sizes  # the distance to the next number where rounding or truncating jumps
    moved = numbers + numbers.sign() * torch.minimum(by.abs(), left / 2)
    moved = torch.where(numbers == 0, by, moved)
    same = (moved.round() == numbers.round()) & (moved.trunc() == numbers.trunc())
    return torch.where(same, moved, numbers)
