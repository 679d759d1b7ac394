"""Gives each sample random numbers of its own: the same ones in whatever batch it stands.

A model that draws in evaluation on purpose, such as one with Monte-Carlo dropout, draws other numbers for a sample
that stands at another place, or alone. That is no influence of its neighbours; how probable they are may be one.
"""

from __future__ import annotations

from typing import Any

import torch

from archcheck.measure.behaviour.closeness import distance
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch

_CLOSE = 1e-4
"""How far probabilities may be apart, as a share of the largest: other kernels sum in another order."""
_CHANCES = frozenset({"bernoulli", "bernoulli_", "binomial", "multinomial", "normal", "poisson", "_standard_gamma"})
"""Operators that are told by tensors how probable their numbers are."""


class Draws(Dispatch):
    """Keeps what is drawn; or, for `again`, lets the last of `count` samples draw what the last did there.

    `unlike` says that it would have drawn with other probabilities.
    """

    def __init__(self, count: int, again: Draws | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: list[tuple[str, list[torch.Tensor], list[torch.Tensor]]] = []
        self.unlike = False
        self._count, self._again = count, again

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run an operator, and look at what it drew."""
        if not isinstance(func, torch._ops.OpOverload):
            return self.higher_order(func, args, kwargs or {})
        if torch.Tag.nondeterministic_seeded not in getattr(func, "tags", ()):
            return func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        written = args[:1] if func._schema.is_mutable else ()
        told = [each for each in tensors_in(args) if name in _CHANCES and not any(each is one for one in written)]
        result = func(*args, **(kwargs or {}))
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
        """Return what belongs to the last sample of each run; all of it where no axis counts samples."""
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
