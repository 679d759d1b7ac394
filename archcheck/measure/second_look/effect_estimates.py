"""Estimates by gradients how far the outputs would move if null operations replaced the operations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from archcheck.measure.second_look.null_operations import is_random, null_of, size_of
from archcheck.measure.second_look.operation_calls import CONTRACTIONS, NORMS, Call, Place, Places
from archcheck.measure.second_look.pass_comparison import as_real
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.noise import normal

LEAST = 1e-4
"""Share of the spread of an output up to which a change counts as none."""
_CLEAR = 10 * LEAST
"""The same for estimated changes."""
_ROUNDING = 20
"""How many times the precision of its dtype a sum may be off, relative to the size of its parts."""
_FEW = 16
"""Places without gradient up to which each is tried; an encoder under `no_grad` has more."""
_SAVED = frozenset({*CONTRACTIONS, *NORMS})
"""Kinds whose gradient does not read their result, so that the model may overwrite it."""

Step = torch.Tensor | float | None
"""From the result of an operation to that of its null, or the size of random numbers; `None` for a parameter."""


class Estimates:
    """Keeps the results of calls and the steps to their nulls; one backward pass then estimates the changes."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.changes: dict[Place, float] = {}
        self.without_gradient: Places = frozenset()
        self.rectifying: set[Place] = set()
        """Rectifiers that change what they are given."""
        self._kept: list[tuple[Place, Any, Step]] = []
        self._irreplaceable: set[Place] = set()

    def keep(self, call: Call, own: bool) -> torch.Tensor:
        """Keep a result, and return one that the model may write to. `own` says that it is one of the arguments."""
        result, place = call.result, call.place
        if call.rectifies:
            self.rectifying.add(place)
        with torch.no_grad():
            step = self._step_to_null(call)
        if result.requires_grad:
            self._kept.append((place, torch.autograd.graph.get_gradient_edge(result), step))
            return result if own or place[0] in _SAVED else result.clone()
        if own or not torch.is_grad_enabled() or not (result.is_floating_point() or result.is_complex()):
            self._kept.append((place, None, step))
            return result
        kept = result.detach().requires_grad_()
        self._kept.append((place, kept, step))
        return kept.clone()

    def _step_to_null(self, call: Call) -> Step:
        if is_random(call.place):
            if not (call.result.is_floating_point() or call.result.is_complex()):
                self._irreplaceable.add(call.place)
                return None
            return size_of(call.result) if call.rectifies else 0.0
        null = null_of(call, self._seed)
        if null is None:
            self._irreplaceable.add(call.place)
        return None if null is None else null - call.result

    def add(self, parameters: Mapping[Place, torch.Tensor]) -> None:
        """Add parameters, for which any gradient counts; frozen ones have none."""
        self._kept += [(place, each if each.requires_grad else None, None) for place, each in parameters.items()]

    def effective(self, total: torch.Tensor) -> Places:
        """Return the places whose nulls clearly change `total`; note by how much, and which have no gradient.

        If more than a few results are made without gradients, nothing is known of them and they count as effective,
        as do operations that nothing can replace. A gradient that the subject defines itself is not believed.
        """
        kept = [(place, result, step) for place, result, step in self._kept if result is not None]
        gradients = torch.autograd.grad(total, [each for _, each, _ in kept], allow_unused=True) if kept else ()
        sums: defaultdict[Place, float] = defaultdict(float)
        parts: defaultdict[Place, float] = defaultdict(float)
        with_gradient: set[Place] = set()
        calls = ((place, step, each) for (place, _, step), each in zip(kept, gradients, strict=True))
        for place, step, gradient in _added_up(calls):
            if gradient is not None:
                change, off = _change_along(gradient, step)
                sums[place] += change
                parts[place] += off
                with_gradient |= {place} if change or bool(gradient.any()) else set()
        self.changes = {place: abs(sums[place]) for place, _, _ in self._kept}
        self.without_gradient = frozenset(place for place, _, _ in self._kept if place not in with_gradient)
        clear = {place for place, change in self.changes.items() if change > max(_CLEAR, parts.get(place, 0.0))}
        unreached = self.changes.keys() - parts.keys()
        surely = frozenset(self._irreplaceable | (unreached if len(unreached) > _FEW else set()))
        return surely if _has_custom_gradient(total) else surely | clear


def _added_up(
    calls: Iterable[tuple[Place, Step, torch.Tensor | None]],
) -> Iterator[tuple[Place, Step, torch.Tensor | None]]:
    """Yield calls with their gradients; calls that get the same random numbers as one: `fc(x) - fc(x)`."""
    alike: dict[tuple[Place, torch.Size], tuple[float, torch.Tensor]] = {}
    for place, step, gradient in calls:
        if not isinstance(step, float) or gradient is None:
            yield place, step, gradient
            continue
        size, sum_ = alike.get((place, gradient.shape), (step, None))
        alike[place, gradient.shape] = max(size, step), gradient if sum_ is None else sum_ + gradient
    for (place, _), (step, gradient) in alike.items():
        yield place, step, gradient


def _change_along(gradient: torch.Tensor, step: Step) -> tuple[float, float]:
    """Return by how much `step` changes the total according to a gradient, and how much of that may be rounding."""
    if isinstance(step, float):
        return float(torch.linalg.vector_norm(gradient)) * step, 0.0
    steps = gradient if step is None else gradient * step
    rounding = min(_ROUNDING * torch.finfo(gradient.dtype).eps, 0.1)
    change = (
        abs(complex(steps.sum(dtype=torch.complex128))) if steps.is_complex() else float(steps.sum(dtype=torch.float64))
    )
    return change, float(torch.linalg.vector_norm(steps, 1)) * rounding


def _has_custom_gradient(total: torch.Tensor) -> bool:
    """Whether a backward function that is not torch's own takes part in the gradient of a tensor."""
    pending, seen = [total.grad_fn], set[Any]()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            made = getattr(type(node), "_forward_cls", type(node)).__module__
            if made not in _TRUSTED:
                return True
        pending += [before for before, _ in node.next_functions]
    return False


_TRUSTED = ("torch.utils.checkpoint",)
"""Modules whose backward functions give the true gradient."""


def spread(tensor: torch.Tensor) -> float:
    """Return the median distance of the finite numbers of a tensor from their median; never zero."""
    numbers = as_real(tensor.detach().to_dense()).double()
    numbers = numbers[numbers.isfinite()]
    if not numbers.numel():
        return 1.0
    off = (numbers - numbers.median()).abs()
    return float(off.median()) or float(off.max()) or float(numbers.abs().max()) or 1.0


def sum_of(output: Any) -> torch.Tensor:
    """Return a sum of all finite numbers of the outputs, each with a random weight, in units of their spread."""
    generator = torch.Generator().manual_seed(3)
    terms = []
    for each in (as_real(each) for each in tensors_in(output) if each.requires_grad):
        part = each[each.isfinite()].double()
        if part.numel():
            weights = normal(part.shape, generator, part.dtype)
            terms.append((part * weights).sum() / (spread(each) * part.numel() ** 0.5))
    return torch.stack(terms).sum()
