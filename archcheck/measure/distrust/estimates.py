"""How far the outputs of a pass would go if an operation gave what its null gives, by their derivative."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from archcheck.measure.distrust.calls import Call, Place, Places
from archcheck.measure.distrust.nulls import null_of
from archcheck.measure.distrust.sameness import as_real
from archcheck.measure.shapes.containers import tensors_in

LEAST = 1e-4
"""The share of the spread of an output below which a change of it is none."""
_CLEAR = 10 * LEAST
"""The same for what is only estimated."""
_ROUNDING = 20
"""How many times the precision of a dtype a sum of as large parts may be off."""
_FEW = 16
"""Places that no derivative reaches, up to which each is looked at; an encoder without gradients has more."""


class Estimates:
    """Keeps what calls give and how far their nulls are from it, for a derivative to tell how far the outputs go."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.changes: dict[Place, float] = {}
        self.deaf: Places = frozenset()
        self._kept: list[tuple[Place, torch.Tensor | None, torch.Tensor | None]] = []

    def keep(self, call: Call, own: bool) -> torch.Tensor:
        """Keep a result, and return a copy that the model may write to; not if it is `own`, an argument written to."""
        result = call.result
        with torch.no_grad():
            null = null_of(call, self._seed)
            way = None if null is None else null - result
        if not result.requires_grad and (own or not torch.is_grad_enabled()):
            self._kept.append((call.place, None, way))
            return result
        kept = result if result.requires_grad else result.detach().requires_grad_()
        self._kept.append((call.place, kept, way))
        return result if own else kept.clone()

    def add(self, parameters: Mapping[Place, torch.Tensor]) -> None:
        """Ask for parameters, too: whether there is any derivative by them."""
        self._kept += [(place, tensor, None) for place, tensor in parameters.items()]

    def told(self, total: torch.Tensor) -> Places:
        """Return the places whose nulls change the total clearly; note by how much, and which have no derivative.

        Where more than a few are made without gradients, nothing is known of them: they are felt.
        """
        kept = [(place, result, way) for place, result, way in self._kept if result is not None]
        gradients = torch.autograd.grad(total, [each for _, each, _ in kept], allow_unused=True) if kept else ()
        sums: defaultdict[Place, float] = defaultdict(float)
        parts: defaultdict[Place, float] = defaultdict(float)
        loud: set[Place] = set()
        for (place, _, way), gradient in zip(kept, gradients, strict=True):
            if gradient is not None:
                steps = (gradient * (1 if way is None else way)).double()
                sums[place] += float(steps.sum())
                parts[place] += float(steps.abs().sum()) * min(_ROUNDING * torch.finfo(gradient.dtype).eps, 0.1)
                loud |= {place} if bool(gradient.any()) else set()
        self.changes = {place: abs(sums[place]) for place, _, _ in self._kept}
        self.deaf = frozenset(place for place, _, _ in self._kept if place not in loud)
        clear = {place for place, change in self.changes.items() if change > max(_CLEAR, parts.get(place, 0.0))}
        beyond = self.changes.keys() - parts.keys()
        return frozenset(clear | (beyond if len(beyond) > _FEW else set()))


def spread(tensor: torch.Tensor) -> float:
    """Return how far from each other the numbers of a tensor are, whatever few of them are."""
    numbers = as_real(tensor.detach().to_dense()).double()
    numbers = numbers[numbers.isfinite()]
    if not numbers.numel():
        return 1.0
    off = (numbers - numbers.median()).abs()
    return float(off.median()) or float(off.max()) or float(numbers.abs().max()) or 1.0


def sum_of(output: Any) -> torch.Tensor:
    """Return a sum over all numbers of the outputs, each with a weight of its own, in units of their spread."""
    generator = torch.Generator().manual_seed(3)
    terms = []
    for each in (as_real(each) for each in tensors_in(output) if each.requires_grad):
        part = each[each.isfinite()].double()
        if part.numel():
            weights = torch.randn(part.shape, generator=generator, dtype=part.dtype)
            terms.append((part * weights).sum() / (spread(each) * part.numel() ** 0.5))
    return torch.stack(terms).sum()
