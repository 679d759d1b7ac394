"""Runs passes in which other numbers replace the result of an operation, and compares the outputs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.passes.relaxations import deep
from archcheck.measure.second_look.effect_estimates import LEAST, Estimates, spread, sum_of
from archcheck.measure.second_look.null_operations import bounded, call_again, null_of
from archcheck.measure.second_look.operation_calls import (
    DROPOUT,
    MASK,
    PARAMETER,
    RECTIFIERS,
    Call,
    Calls,
    Place,
    Places,
)
from archcheck.measure.second_look.pass_comparison import APART, Faults, faults_of, largest_difference
from archcheck.measure.second_look.perturbed_parameters import perturbed, redrawn
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.noise import uniform

PASSES = 16
"""Passes in all of which an operation must be without effect; most models need only one."""
_LARGER = (4, 32)
"""How many times larger the other numbers are than what they replace, in turn."""
_DRAWS = 4
"""Other draws of a dropout in a pass; at least one must change an output."""

Change = Callable[..., "torch.Tensor | None"]
"""Returns other numbers for a result, given its call; or for a parameter, given no call."""
Statistics = list[tuple[torch.Tensor, torch.Tensor]]
"""Statistics of normalisations, each with the values to set."""
Dropped = tuple[torch.Tensor, torch.Tensor]
"""Which elements a dropout drops in a call, and which it could drop."""


class Runs:
    """The passes of a model in one mode. `other_parameters` is the seed of other parameters, 0 for its own."""

    def __init__(self, passes: Passes, places: Places, training: bool, allowed: int, statistics: Statistics) -> None:
        self._passes, self._places, self._training, self._allowed = passes, places, training, allowed
        self._thorough = sum(place[0] == DROPOUT for place in places) <= allowed // 4
        self._statistics = statistics
        self._layers = Layers(passes.tree)
        self._faults: Faults | None = None  # of the first pass
        self._without_gradient: Places = frozenset()  # in the last pass
        self._changes: dict[Place, float] = {}  # estimated in the last pass, by place that was called
        self._parameters: dict[Place, torch.Tensor] = {
            place: tensor
            for _, tensor in passes.tree.parameters()
            if (place := (PARAMETER, passes.tree.names[id(tensor)], None)) in places
        }
        self.replaced: Places = frozenset()
        self.rectifying: set[Place] = set()
        self.called: set[Place] = set()
        self.other_parameters = 0

    def clearly_effective(self, example: Example, seed: int) -> Places | None:
        """Return the places whose null would clearly move the outputs; `None` if a pass fails or gives new NaNs."""
        for attached in (True, False):
            estimates = Estimates(seed)
            calls = Calls(self._layers, self._places, estimates.keep, attached=attached)
            with contextlib.suppress(Exception), torch.enable_grad(), self._outputs(example, calls, seed) as outputs:
                faults = faults_of(outputs)
                self._faults = faults if self._faults is None else self._faults
                if not faults <= self._faults:
                    return None
                estimates.add(self._parameters)
                found = estimates.effective(sum_of(outputs))
                self._without_gradient, self._changes = estimates.without_gradient, estimates.changes
                self.rectifying |= estimates.rectifying
                self.called |= estimates.changes.keys()
                return frozenset(place for place in found if not (self._thorough and place[0] == DROPOUT))
        return None

    def effective_when_replaced(self, places: Places, example: Example, seed: int) -> Places:
        """Return the places whose null gives other outputs; without gradient, larger numbers are tried, too."""
        first, repeated = (self._numbers(example, seed) for _ in range(2))
        places &= self._changes.keys()
        if first is None or repeated is None:  # a failure on random numbers proves nothing
            return frozenset()
        rounding, effective = APART * _largest_change(first, repeated), set()
        for place in sorted(places, key=lambda place: self._changes.get(place, 0.0)):
            if self._allowed <= 0:
                return places
            self._allowed -= 1
            least = rounding if place[0] == PARAMETER else max(LEAST, rounding)
            if any(
                _largest_change(first, self._numbers(example, seed, place, change)) > least
                for change in self._changes_of(place, seed)
            ):
                effective.add(place)
        self.replaced |= places
        return frozenset(effective)

    def _changes_of(self, place: Place, seed: int) -> list[Change]:
        """Return what to try in a place: its null, several for a dropout, and larger numbers if it has no gradient."""
        larger: Change = partial(_larger, seed=seed)
        if place[0] == PARAMETER:
            return [larger, _zero]
        draws = range(_DRAWS if place[0] == DROPOUT else 1)
        return [
            *(partial(_null, seed=seed, draw=draw) for draw in draws),
            *([larger] if place in self._without_gradient and place[0] != DROPOUT else []),
        ]

    @property
    def idle(self) -> Places:
        """The rectifiers that were called and changed nothing in any call."""
        return frozenset(place for place in self.called - self.rectifying if place[0] in RECTIFIERS)

    def note_rectifiers(self, example: Example, seed: int) -> None:
        """Note which rectifiers change something in another pass."""

        def look(call: Call, own: bool) -> torch.Tensor:
            self.rectifying |= {call.place} if call.rectifies else set()
            return call.result

        self._allowed -= 1
        calls = Calls(self._layers, self.idle, look)
        with contextlib.suppress(Exception), torch.no_grad(), self._outputs(example, calls, seed):
            pass

    @property
    def is_spent(self) -> bool:
        """Whether all passes are spent."""
        return self._allowed <= 0

    def fixed_dropouts(self, example: Example) -> Places:
        """Return the dropouts that drop the same elements in every pass: they are a fixed part of the network."""
        left = frozenset(place for place in self._places if self._training and place[0] in (DROPOUT, MASK))
        for times in (2, PASSES):
            dropped = self._dropped(example, left, times) if left else {}
            left = frozenset(place for place in left & dropped.keys() if _is_repeated(dropped[place], times))
        return left

    def _dropped(self, example: Example, places: Places, times: int) -> dict[Place, list[Dropped]]:
        """Return what the dropouts at some places drop in several successive passes.

        The model is not restored between them: it may draw from its own generator, or by a counter.
        """
        found: dict[Place, list[Dropped]] = {}

        def look(call: Call, own: bool) -> torch.Tensor:
            given = call.masked if call.place[0] == MASK else [call.given]
            if all(each.shape == call.result.shape for each in given):
                full = torch.stack([each != 0 for each in given])
                found.setdefault(call.place, []).append((full & (call.result == 0), full))
            return call.result

        calls = Calls(self._layers, places, look, generators=True)
        with contextlib.suppress(Exception), torch.no_grad(), self._outputs(example, calls, 0, times=times):
            return found
        return {}

    def _numbers(
        self, example: Example, seed: int, place: Place | None = None, change: Change | None = None
    ) -> list[torch.Tensor] | None:
        """Return the outputs, with `change` applied at a place; `None` if the pass fails."""

        def look(call: Call, own: bool) -> torch.Tensor:
            changed = change(call.result, call) if change is not None else None
            if changed is None:
                return call.result
            return call.result.copy_(changed) if own else changed

        calls = Calls(self._layers, frozenset({place} if place else ()), look)
        tensor = self._parameters.get(place) if place else None
        changed = None if tensor is None or change is None else (tensor, partial(change, call=None))
        with contextlib.suppress(Exception), torch.no_grad(), self._outputs(example, calls, seed, changed) as outputs:
            return [each.clone() for each in tensors_in(outputs)]
        return None

    @contextmanager
    def _outputs(
        self,
        example: Example,
        calls: Calls,
        seed: int,
        changed: tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor | None]] | None = None,
        times: int = 1,
    ) -> Iterator[Any]:
        """Yield what the model returns, and restore it afterwards: autograd rejects changed parameters.

        Of several successive passes, yield the result of the last; each has draws of its own.
        """
        parameters = redrawn(self._passes, self.other_parameters) if self.other_parameters else perturbed(self._passes)
        with parameters:
            with torch.no_grad():
                for tensor, values in self._statistics:
                    tensor.copy_(values)
                if changed is not None and (numbers := changed[1](changed[0])) is not None:
                    changed[0].copy_(numbers)
            set_mode(self._passes.tree, self._training)
            with deep(), self._layers.watching({}):
                for number in range(times):
                    seed_all(seed + number)
                    copied = example.copied()
                    with calls:
                        outputs = self._passes.model(*copied.args, **copied.kwargs)
            yield outputs

    def calibrated(self, example: Example) -> Statistics:
        """Return the statistics with initial values, zero and one, each with the values that the example gives it."""
        tree, kept = self._passes.tree, Statistics()
        registered = {id(tensor) for _, tensor in [*tree.buffers(), *tree.parameters()]}

        def look(call: Call, own: bool) -> torch.Tensor:
            mean, variance = call.argument("running_mean"), call.argument("running_var")
            with torch.no_grad():  # which the subject may have switched off
                given, axes = call.given.float(), [axis for axis in range(call.given.dim()) if axis != 1]
                if not {id(mean), id(variance)} <= registered or bool(mean.any()) or not bool((variance == 1).all()):
                    return call.result
                wide, middle = torch.var_mean(given, axes, unbiased=False)
                wide = wide.clamp(min=float(wide.mean()) / 10)  # a channel may be constant on this example only
                for tensor, found in ((mean, middle), (variance, wide)):
                    tensor.copy_(found)
                    kept.append((tensor, tensor.clone()))
            return call_again(call)

        calls = Calls(self._layers, frozenset(place for place in self._places if place[0] == "batch_norm"), look)
        with contextlib.suppress(Exception), torch.no_grad(), self._outputs(example, calls, 0):
            pass
        return kept


def _is_repeated(dropped: Sequence[Dropped], times: int) -> bool:
    """Whether every pass drops what the first one drops, wherever both have something to drop."""
    calls, rest = divmod(len(dropped), times)
    first = dropped[:calls]
    if rest or not any(bool(before.any()) for before, _ in first):
        return False
    pairs = zip(itertools.cycle(first), dropped, strict=False)
    return all(
        before.shape == after.shape and torch.equal(before & also, after & full)
        for (before, full), (after, also) in pairs
    )


def _null(result: torch.Tensor, call: Call | None, *, seed: int, draw: int) -> torch.Tensor | None:
    return None if call is None else null_of(call, seed, draw)


def _zero(result: torch.Tensor, call: Call | None) -> torch.Tensor:
    """Return zeros, which are below a bound that nothing has reached."""
    return torch.zeros_like(result)


def _larger(result: torch.Tensor, call: Call | None, *, seed: int) -> torch.Tensor:
    """Return larger random numbers, without touching a generator that the model draws from.

    They are sums and products, because the gradient of an energy may react only to a factor.
    """
    numbers = (2 * uniform(result.shape, torch.Generator().manual_seed(4 + seed)) - 1).to(result)
    largest = float(result.detach().abs().max()) or 1.0
    larger = result * (1 + numbers) + numbers * (_LARGER[seed % len(_LARGER)] * largest)
    return larger if call is None else bounded(call.place, larger)


def _largest_change(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor] | None) -> float:
    """Return the largest change of an output, as a share of its spread."""
    if second is None or len(first) != len(second):
        return float("inf")
    return max((largest_difference(a, b) / spread(a) for a, b in zip(first, second, strict=True)), default=0.0)
