"""Gives a sample the same random numbers in two batches.

A model that draws in evaluation on purpose, such as one with Monte-Carlo dropout, draws other numbers for a sample at
another place, or alone. Its neighbours do not influence these numbers, but they may influence the probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from archcheck.measure.behaviour.closeness import distance
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch

_CLOSE = 1e-4
"""Largest relative difference of probabilities that count as the same: other kernels round otherwise."""
_TAKE_PROBABILITIES = frozenset(
    {"bernoulli", "bernoulli_", "binomial", "multinomial", "normal", "poisson", "_standard_gamma"}
)
"""Operators with a tensor of probabilities or parameters of a distribution."""


class Draws(Dispatch):
    """Keeps the draws of a pass on `count` samples; with `again`, repeats the draws of the last sample in that pass.

    `unlike` says that the probabilities of the last sample differ between the two passes.
    """

    def __init__(self, count: int, again: Draws | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[tuple[str, list[torch.Tensor], list[torch.Tensor]]] = []
        self.unlike = False
        self._count, self._again = count, again

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation, and look at what it drew."""
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        written = args[:1] if func._schema.is_mutable else ()
        told = [
            each for each in tensors_in(args) if name in _TAKE_PROBABILITIES and not any(each is one for one in written)
        ]
        result = func(*args, **kwargs)
        self._note(name, told, list(tensors_in(result)))
        return result

    def _note(self, name: str, told: list[torch.Tensor], drawn: list[torch.Tensor]) -> None:
        number = len(self.kept)
        before = self._again.kept[number] if self._again and number < len(self._again.kept) else None
        if before is not None and before[0] == name:
            for one, other in zip((*before[1], *before[2]), (*told, *drawn), strict=False):
                pair = self._same_sample(one, other)
                if pair is not None and any(other is each for each in drawn):
                    pair[1].copy_(pair[0])
                elif pair is not None:
                    apart = distance(*pair)
                    self.unlike |= apart is None or apart > _CLOSE
        self.kept.append((name, [each.clone() for each in told], [each.clone() for each in drawn]))

    def _same_sample(self, before: torch.Tensor, now: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the parts of the last sample in both passes, or all if no axis counts samples."""
        assert self._again is not None
        if before.shape == now.shape:
            return before, now
        axes = [axis for axis, pair in enumerate(zip(before.shape, now.shape, strict=False)) if pair[0] != pair[1]]
        if before.dim() != now.dim() or len(axes) != 1:
            return None
        (axis,), samples = axes, self._again._count
        size, rest = divmod(now.shape[axis], self._count)
        if rest or before.shape[axis] != size * samples:
            return None
        return before.narrow(axis, size * (samples - 1), size), now.narrow(axis, size * (self._count - 1), size)
