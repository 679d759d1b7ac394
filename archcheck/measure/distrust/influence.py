"""Dropouts and normalisations that no output feels, though data flows from them to one.

What they give may be cut off by an index (`cat([x, dropout(x)])[:n]`), or lose to a larger number
(`maximum(x, dropout(x) - 1e9)`). So the outputs are differentiated with respect to it. It is *unfelt* if the derivative
is zero in every element, in pass after pass on other numbers, for a pass may leave out what the next one does not (a
branch that is dropped at random, an expert that gets no sample); and if other numbers in its place give the same
outputs every time, for what is rounded, compared or sorted has no derivative and is felt. Parameters that begin at
zero are moved meanwhile. Where no output can be differentiated, all is taken to be felt.
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
from archcheck.measure.passes.leeway import deep
from archcheck.measure.shapes.containers import tensors_in

PASSES = 12
"""Passes in all of which something has to be without a derivative; most models need a single one."""
_LEAST = 1e-10
"""The share of the largest output below which a derivative is none: rounding in single precision begins at 6e-8."""
_FEW = 16
"""Places that no derivative reaches, up to which each is looked at; an encoder without gradients has more."""
_LOUDER = (4, 32)
"""How many times larger other numbers are than what they replace, by turns."""


def unfelt(
    passes: Passes, example: Example, other: Callable[[int], Example], places: Places, *, training: bool
) -> Places:
    """Return the places of a model whose results no output feels in any call.

    `other` makes examples of other numbers, by a seed above 0.
    """
    run = _Runs(passes, places, training)
    suspects = places
    for seed in range(PASSES):
        given = other(seed) if seed else example
        found = run.without_derivative(given, seed)
        if found is not None:
            suspects &= found
        elif not seed:
            return frozenset()
        if suspects:
            suspects -= run.moved(suspects, given, seed)
        if not suspects:
            break
    return frozenset(filter(run.is_still, suspects))


class _Runs:
    def __init__(self, passes: Passes, places: Places, training: bool) -> None:
        self._passes, self._places, self._training = passes, places, training
        self._layers = Layers(passes.tree)
        self._faults: Faults | None = None  # of the first pass
        self._moves: dict[Place, float] = {}
        self._repeats = 0.0

    def without_derivative(self, example: Example, seed: int) -> Places | None:
        """Return the places with a derivative of zero in a pass; `None` if it fails, or gives no numbers."""
        calls = Calls(self._layers, self._places)
        with contextlib.suppress(Exception), torch.enable_grad(), self._outputs(example, calls, seed) as outputs:
            faults = faults_of(outputs)
            self._faults = faults if self._faults is None else self._faults
            return _below(calls.results, _sum(outputs)) if faults <= self._faults else None
        return None

    def moved(self, places: Places, example: Example, seed: int) -> Places:
        """Return the places of which other numbers make other outputs, or an error, where nothing else does."""
        first, again = (self._numbers(example, seed, None) for _ in range(2))
        if first is None or again is None:  # it fails on strange numbers, which tells nothing
            return frozenset()
        repeats = _all_apart(first, again)
        self._repeats = max(self._repeats, repeats)
        moves = {place: _all_apart(first, self._numbers(example, seed, place)) for place in places}
        self._moves |= {place: max(move, self._moves.get(place, 0.0)) for place, move in moves.items()}
        return frozenset(place for place, move in moves.items() if move and not repeats)

    def is_still(self, place: Place) -> bool:
        """Whether other numbers from a place moved the outputs no farther than they move by themselves."""
        return place in self._moves and self._moves[place] <= APART * self._repeats

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
            with deep(), self._layers.watching({}), calls:
                outputs = self._passes.model(*copied.args, **copied.kwargs)
            yield outputs


def _noisy(tensor: torch.Tensor, *, seed: int) -> torch.Tensor:
    """Return other numbers that outdo those of a tensor, of no source that the model draws from.

    They are sums and products, for the derivative of an energy may feel nothing but a factor.
    """
    numbers = (2 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(4 + seed)) - 1).to(tensor)
    return tensor * (1 + numbers) + numbers * (_LOUDER[seed % len(_LOUDER)] * tensor.detach().abs().max())


def _all_apart(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor] | None) -> float:
    if second is None or len(first) != len(second):
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
    """Return the places all of whose results change the total by next to nothing; and a few that no derivative reaches.

    Those results are detached, or made without gradients: other numbers have to tell whether they are felt.
    """
    kept = [(place, result) for place, result in results if result is not None]
    gradients = torch.autograd.grad(total, [each for _, each in kept], allow_unused=True) if kept else ()
    felt: set[Place] = set()
    reached: set[Place] = set()
    for (place, result), gradient in zip(kept, gradients, strict=True):
        if gradient is not None:
            reached.add(place)
            felt |= set() if float((gradient * result.detach()).abs().max()) <= _LEAST else {place}
    beyond = {place for place, _ in results} - reached
    return frozenset((reached - felt) | (beyond if len(beyond) <= _FEW else set()))
