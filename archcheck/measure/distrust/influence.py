"""Dropouts and normalisations that no output feels, though data flows from them to one.

What they give may be cut off by an index (`cat([x, dropout(x)])[:n]`), or lose to a larger number
(`maximum(x, dropout(x) - 1e9)`). So the outputs are differentiated with respect to it. It is *unfelt* if the derivative
is zero in every element, in pass after pass on other numbers, for a pass may leave out what the next one does not (a
branch that is dropped at random, an expert that gets no sample); and if other numbers in its place give the same
outputs every time, for what is rounded, compared or sorted has no derivative and is felt. Parameters that begin at
zero are moved meanwhile. What cannot be differentiated is taken to be felt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from archcheck.measure.distrust.calls import Calls, Place, Places
from archcheck.measure.distrust.jitter import jittered
from archcheck.measure.distrust.sameness import APART, Faults, apart, as_real, faults_of
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.chance import seed_all
from archcheck.measure.passes.forward import Passes, set_mode
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.leeway import deep, uncompiled
from archcheck.measure.shapes.arguments import tensors_in

PASSES = 12
"""Passes in all of which something has to be without a derivative; most models need a single one."""
_LEAST = 1e-10
"""The share of the largest output below which a derivative is none: rounding in single precision begins at 6e-8."""
_LOUDER = (4, 32)
"""How many times larger other numbers are than what they replace, by turns."""


def unfelt(
    passes: Passes, example: Example, other: Callable[[int], Example], places: Places, *, training: bool
) -> Places:
    """Return the places of a model whose results no output feels in any call.

    `other` makes examples of other numbers, by a seed above 0.
    """
    run = _Runs(passes, places, training)
    suspects = run.without_derivative(example, 0) or frozenset()
    for seed in range(1, PASSES):
        found = run.without_derivative(other(seed), seed) if suspects else None
        suspects = suspects if found is None else suspects & found
    return frozenset(place for place in suspects if not run.is_moved_by(place, example, other))


class _Runs:
    def __init__(self, passes: Passes, places: Places, training: bool) -> None:
        self._passes, self._places, self._training = passes, places, training
        self._layers = Layers(passes.tree)
        self._faults: Faults | None = None  # of the first pass

    def without_derivative(self, example: Example, seed: int) -> Places | None:
        """Return the places with a derivative of zero in a pass; `None` if it fails, or gives no numbers."""
        calls = Calls(self._layers, self._places)
        with contextlib.suppress(Exception), torch.enable_grad(), self._outputs(example, calls, seed) as outputs:
            faults = faults_of(outputs)
            self._faults = faults if self._faults is None else self._faults
            return _below(calls.results, _sum(outputs)) if faults <= self._faults else None
        return None

    def is_moved_by(self, place: Place, example: Example, other: Callable[[int], Example]) -> bool:
        """Whether other numbers from the calls of a place make other outputs in any pass, or an error."""
        moves, repeats = [], []
        for seed in range(PASSES):
            run = partial(self._numbers, other(seed) if seed else example, seed)
            first, moved, again = run(None), run(place), run(None)
            if first is None or again is None:  # it fails on strange numbers, which tells nothing
                continue
            if moved is None:
                return True
            moves.append(_all_apart(first, moved))
            repeats.append(_all_apart(first, again))
            if moves[-1] and not repeats[-1]:
                return True
        return not moves or max(moves) > APART * max(repeats)

    def _numbers(self, example: Example, seed: int, moved: Place | None) -> list[torch.Tensor] | None:
        """Return the numbers of the outputs, with others from a place that is `moved`; `None` if that fails."""
        calls = Calls(self._layers, frozenset({moved} if moved else ()), partial(_noisy, seed=seed))
        with contextlib.suppress(Exception), torch.no_grad(), self._outputs(example, calls, seed) as outputs:
            return [each.clone() for each in tensors_in(outputs)]
        return None

    @contextmanager
    def _outputs(self, example: Example, calls: Calls, seed: int) -> Iterator[Any]:
        """Yield what the model returns; it is put back only in the end, for autograd minds other parameters."""
        with jittered(self._passes):
            set_mode(self._passes.tree, self._training)
            seed_all(seed)
            copied = example.copied()
            with uncompiled(), deep(), self._layers.watching({}), calls:
                outputs = self._passes.model(*copied.args, **copied.kwargs)
            yield outputs


def _noisy(tensor: torch.Tensor, *, seed: int) -> torch.Tensor:
    """Return a tensor with numbers on it that outdo its own, of no source that the model draws from."""
    numbers = 2 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(4 + seed)) - 1
    return tensor + numbers.to(tensor) * (_LOUDER[seed % len(_LOUDER)] * tensor.detach().abs().max())


def _all_apart(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    if len(first) != len(second):
        return float("inf")
    return max(map(apart, first, second), default=0.0)


def _sum(output: Any) -> torch.Tensor:
    """Return a sum over all numbers of the outputs, each with a weight of its own, scaled to their largest."""
    generator = torch.Generator().manual_seed(3)
    real = [as_real(each) for each in tensors_in(output) if each.requires_grad]
    parts = [each[each.isfinite()].double() for each in real]
    weighed = [each * (0.5 + torch.rand(each.shape, generator=generator)) for each in parts if each.numel()]
    largest = max(float(each.detach().abs().max()) for each in weighed)
    return torch.stack([each.sum() for each in weighed]).sum() / largest


def _below(results: Sequence[tuple[Place, torch.Tensor | None]], total: torch.Tensor) -> Places:
    """Return the places all of whose results change the total by next to nothing, if they can change it at all."""
    felt = {place for place, result in results if result is None}
    kept = [(place, result) for place, result in results if result is not None]
    if not kept:
        return frozenset()
    gradients = torch.autograd.grad(total, [each for _, each in kept], allow_unused=True)
    for (place, result), gradient in zip(kept, gradients, strict=True):
        if gradient is None or not float((gradient * result.detach()).abs().max()) <= _LEAST:
            felt.add(place)
    return frozenset(place for place, _ in kept) - felt
