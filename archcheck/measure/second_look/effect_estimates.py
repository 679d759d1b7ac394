"""Estimates by derivatives how far the outputs would move if an operation gave what its null operation gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from archcheck.measure.second_look.null_operations import is_of_others, null_of, size_of
from archcheck.measure.second_look.operation_calls import CONTRACTIONS, NORMS, Call, Place, Places
from archcheck.measure.second_look.pass_comparison import as_real
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.noise import normal

LEAST = 1e-4
"""The share of the spread of an output below which a change of it is none."""
_CLEAR = 10 * LEAST
"""The same for what is only estimated."""
_ROUNDING = 20
"""How many times the precision of a dtype a sum of as large parts may be off."""
_FEW = 16
"""Places that no derivative reaches, up to which each is looked at; an encoder without gradients has more."""


_SAVED = frozenset({*CONTRACTIONS, *NORMS})
"""Kinds whose derivative does not read what they give, so that the model may write over that."""

Way = torch.Tensor | float | None
"""From what an operation gives to its null, or how large other numbers are; nothing for a parameter."""


class Estimates:
    """Keeps what calls give and how far their nulls are from it, for a derivative to tell how far the outputs go."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.changes: dict[Place, float] = {}
        self.deaf: Places = frozenset()
        self.acting: set[Place] = set()
        """Rectifiers that do more than hand on what they are given."""
        self._kept: list[tuple[Place, Any, Way]] = []
        self._irreplaceable: set[Place] = set()

    def keep(self, call: Call, own: bool) -> torch.Tensor:
        """Keep a result, and return one that the model may write to; `own` is an argument that is written to."""
        result, place = call.result, call.place
        if call.rectifies:
            self.acting.add(place)
        with torch.no_grad():
            way = self._way(call)
        if result.requires_grad:
            self._kept.append((place, torch.autograd.graph.get_gradient_edge(result), way))
            return result if own or place[0] in _SAVED else result.clone()
        if own or not torch.is_grad_enabled() or not (result.is_floating_point() or result.is_complex()):
            self._kept.append((place, None, way))
            return result
        kept = result.detach().requires_grad_()
        self._kept.append((place, kept, way))
        return kept.clone()

    def _way(self, call: Call) -> Way:
        if is_of_others(call.place):
            if not (call.result.is_floating_point() or call.result.is_complex()):
                self._irreplaceable.add(call.place)
                return None
            return size_of(call.result) if call.rectifies else 0.0
        null = null_of(call, self._seed)
        if null is None:
            self._irreplaceable.add(call.place)
        return None if null is None else null - call.result

    def add(self, parameters: Mapping[Place, torch.Tensor]) -> None:
        """Ask for parameters, too: whether there is any derivative by them; there is none by those that are frozen."""
        self._kept += [(place, each if each.requires_grad else None, None) for place, each in parameters.items()]

    def told(self, total: torch.Tensor) -> Places:
        """Return the places whose nulls change the total clearly; note by how much, and which have no derivative.

        Where more than a few are made without gradients, nothing is known of them: they are felt, and so is what
        nothing can stand in for. Where the subject defines a derivative of its own, what it tells is not believed.
        """
        kept = [(place, result, way) for place, result, way in self._kept if result is not None]
        gradients = torch.autograd.grad(total, [each for _, each, _ in kept], allow_unused=True) if kept else ()
        sums: defaultdict[Place, float] = defaultdict(float)
        parts: defaultdict[Place, float] = defaultdict(float)
        loud: set[Place] = set()
        calls = ((place, way, each) for (place, _, way), each in zip(kept, gradients, strict=True))
        for place, way, gradient in _joined(calls):
            if gradient is not None:
                change, off = _step(gradient, way)
                sums[place] += change
                parts[place] += off
                loud |= {place} if change or bool(gradient.any()) else set()
        self.changes = {place: abs(sums[place]) for place, _, _ in self._kept}
        self.deaf = frozenset(place for place, _, _ in self._kept if place not in loud)
        clear = {place for place, change in self.changes.items() if change > max(_CLEAR, parts.get(place, 0.0))}
        beyond = self.changes.keys() - parts.keys()
        surely = frozenset(self._irreplaceable | (beyond if len(beyond) > _FEW else set()))
        return surely if _is_made_up(total) else surely | clear


def _joined(
    calls: Iterable[tuple[Place, Way, torch.Tensor | None]],
) -> Iterator[tuple[Place, Way, torch.Tensor | None]]:
    """Yield calls with their derivatives, those that stand for the same other numbers as one: `fc(x) - fc(x)`."""
    alike: dict[tuple[Place, torch.Size], tuple[float, torch.Tensor]] = {}
    for place, way, gradient in calls:
        if not isinstance(way, float) or gradient is None:
            yield place, way, gradient
            continue
        size, sum_ = alike.get((place, gradient.shape), (way, None))
        alike[place, gradient.shape] = max(size, way), gradient if sum_ is None else sum_ + gradient
    for (place, _), (way, gradient) in alike.items():
        yield place, way, gradient


def _step(gradient: torch.Tensor, way: Way) -> tuple[float, float]:
    """Return how far a step along `way` leads by a gradient, and how much of that may be rounding."""
    if isinstance(way, float):
        return float(torch.linalg.vector_norm(gradient)) * way, 0.0
    steps = gradient if way is None else gradient * way
    rounding = min(_ROUNDING * torch.finfo(gradient.dtype).eps, 0.1)
    change = (
        abs(complex(steps.sum(dtype=torch.complex128))) if steps.is_complex() else float(steps.sum(dtype=torch.float64))
    )
    return change, float(torch.linalg.vector_norm(steps, 1)) * rounding


def _is_made_up(total: torch.Tensor) -> bool:
    """Whether a derivative that does not come from torch takes part in that of a tensor."""
    pending, seen = [total.grad_fn], set[Any]()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            made = getattr(type(node), "_forward_cls", type(node)).__module__
            if made not in _TRUE:
                return True
        pending += [before for before, _ in node.next_functions]
    return False


_TRUE = ("torch.utils.checkpoint",)
"""Modules whose derivatives are those of what they compute."""


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
            weights = normal(part.shape, generator, part.dtype)
            terms.append((part * weights).sum() / (spread(each) * part.numel() ** 0.5))
    return torch.stack(terms).sum()
