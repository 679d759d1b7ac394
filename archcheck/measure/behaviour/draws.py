"""Random numbers that a sample keeps: what is drawn for it in one batch is drawn for it in another.

A model that draws in evaluation on purpose, such as one with Monte-Carlo dropout, draws other numbers for a sample
that stands at another place, or alone. That is no influence of its neighbours.
"""

from __future__ import annotations

from typing import Any

import torch

from archcheck.measure.shapes.arguments import tensors_in
from archcheck.measure.shapes.dispatch import Dispatch


class Draws(Dispatch):
    """Keeps what is drawn; or, for `again`, lets the last of `count` samples draw what the last did there."""

    def __init__(self, count: int, again: Draws | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[tuple[str, torch.Tensor]] = []
        self._count, self._again = count, again

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run an operator, and look at what it drew."""
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()):
            for drawn in tensors_in(result):
                self._draw(str(func), drawn)
        return result

    def _draw(self, name: str, drawn: torch.Tensor) -> None:
        number = len(self.kept)
        if self._again is not None and number < len(self._again.kept):
            before = self._again.kept[number]
            if before[0] == name:
                _repeat(before[1], self._again._count, drawn, self._count)
        self.kept.append((name, drawn.clone()))


def _repeat(before: torch.Tensor, samples: int, drawn: torch.Tensor, count: int) -> None:
    """Write over what was drawn for the last of `count` samples what was drawn for the last of `samples` before."""
    if before.shape == drawn.shape:
        drawn.copy_(before)
        return
    if before.dim() != drawn.dim():
        return
    axes = [axis for axis, pair in enumerate(zip(before.shape, drawn.shape, strict=True)) if pair[0] != pair[1]]
    if len(axes) == 1 and before.shape[axes[0]] * count == drawn.shape[axes[0]] * samples:
        (axis,), size = axes, drawn.shape[axes[0]] // count
        drawn.narrow(axis, size * (count - 1), size).copy_(before.narrow(axis, size * (samples - 1), size))
