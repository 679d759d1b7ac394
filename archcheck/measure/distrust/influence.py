"""Dropouts and batch normalisations that no output feels, though data flows from them to one.

What they give may be cut off by an index (`cat([x, dropout(x)])[:n]`), or lose to a larger number
(`maximum(x, dropout(x) - 1e9)`). So the outputs are differentiated with respect to it. It is *unfelt* if the derivative
is zero in every element, in pass after pass on other numbers, for a pass may leave out what the next one does not (a
branch that is dropped at random, an expert that gets no sample); and if other numbers in its place give the
same outputs, bit by bit, for what is rounded has no derivative and is felt. Parameters should not be zero meanwhile.
What cannot be differentiated is taken to be felt.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from archcheck.measure.distrust.sameness import are_finite
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.chance import seed_all
from archcheck.measure.passes.event import Event
from archcheck.measure.passes.forward import Passes, set_mode
from archcheck.measure.passes.layer_calls import Layers
from archcheck.measure.shapes.arguments import tensors_in
from archcheck.where import Where

PASSES = 12
"""Passes in all of which something has to be without a derivative; most models need a single one."""
_LEAST = 1e-10
"""The share of the largest output below which a derivative is none: rounding in single precision begins at 6e-8."""
_DROPOUTS = (
    functional.alpha_dropout, functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d,
    functional.feature_alpha_dropout, torch.alpha_dropout, torch.dropout, torch.feature_alpha_dropout,
    torch.feature_dropout,
)  # fmt: skip
_WATCHED: Mapping[Any, str] = {
    **dict.fromkeys(_DROPOUTS, "dropout"),
    **dict.fromkeys((functional.batch_norm, torch.batch_norm), "batch_norm"),
}

Place = tuple[str, str, Where | None]
"""The kind, the layer and the line of a call."""
Places = frozenset[Place]


def is_watched(event: Event) -> bool:
    """Whether an operation is one of those, and does anything: a dropout of rate 0, or in evaluation, does not."""
    drops = bool(event.attributes.get("training") and event.attributes.get("p"))
    return event.kind == "batch_norm" or (event.kind == "dropout" and drops)


def unfelt(passes: Passes, example: Example, other: Callable[[int], Example], *, training: bool) -> Places:
    """Return where a model calls a dropout or batch normalisation whose results no output feels in any call.

    `other` makes examples of other numbers, by a seed above 0.
    """
    run = _Runs(passes, training)
    suspects = run.without_derivative(example, 0) or frozenset()
    for seed in range(1, PASSES):
        found = run.without_derivative(other(seed), seed) if suspects else None
        suspects = suspects if found is None else suspects & found
    return frozenset(place for place in suspects if not run.is_moved_by(place, example))


class _Runs:
    def __init__(self, passes: Passes, training: bool) -> None:
        self._passes, self._training = passes, training
        self._layers = Layers(passes.tree)

    def without_derivative(self, example: Example, seed: int) -> Places | None:
        """Return the places with a derivative of zero in a pass; `None` if it fails, or gives no numbers."""
        calls = _Calls(self._layers)
        with contextlib.suppress(Exception), torch.enable_grad(), self._outputs(example, calls, seed) as outputs:
            return _below(calls.results, _sum(outputs)) if are_finite(outputs) else None
        return None

    def is_moved_by(self, place: Place, example: Example) -> bool:
        """Whether other numbers from the calls of a place make other outputs; also where that cannot be told."""
        with contextlib.suppress(Exception), torch.no_grad():
            return not all(map(torch.equal, self._numbers(example, None), self._numbers(example, place)))
        return True

    def _numbers(self, example: Example, moved: Place | None) -> list[torch.Tensor]:
        with self._outputs(example, _Calls(self._layers, moved), 0) as outputs:
            return [tensor.nan_to_num().clone() for tensor in tensors_in(outputs)]

    @contextmanager
    def _outputs(self, example: Example, calls: _Calls, seed: int) -> Iterator[Any]:
        """Yield what the model returns; afterwards its parameters have other numbers again, as autograd notices."""
        with self._passes.untouched(values=True):
            set_mode(self._passes.tree, self._training)
            seed_all(seed)
            copied = example.copied()
            with self._layers.watching({}), calls:
                outputs = self._passes.model(*copied.args, **copied.kwargs)
            yield outputs


class _Calls(TorchFunctionMode):
    """Keeps the results of the calls that are watched, with their places; those of `moved` become others."""

    def __init__(self, layers: Layers, moved: Place | None = None) -> None:
        super().__init__()
        self._layers, self._moved = layers, moved
        self.results: list[tuple[Place, torch.Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        kind = _WATCHED.get(func)
        if kind is None or not isinstance(result, torch.Tensor) or not result.numel():
            return result
        place = kind, *self._layers.now(sys._getframe(1))
        if place == self._moved:
            return result + _noise(result)
        if result.requires_grad:
            self.results.append((place, result))
        return result


def _noise(tensor: torch.Tensor) -> torch.Tensor:
    """Return numbers that outdo those of a tensor, of no source that the model draws from."""
    numbers = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(4)) * 8 - 4
    return numbers.to(tensor) * tensor.detach().abs().max()


def _sum(output: Any) -> torch.Tensor:
    """Return a sum over all numbers of the outputs, each with a weight of its own, scaled to their largest."""
    generator = torch.Generator().manual_seed(3)
    parts = [each for each in tensors_in(output) if each.requires_grad and each.is_floating_point()]
    weighed = [(each * (0.5 + torch.rand(each.shape, generator=generator)).to(each)) for each in parts]
    largest = max(float(each.detach().abs().max()) for each in weighed)
    return torch.stack([each.sum() for each in weighed]).sum() / largest


def _below(results: Sequence[tuple[Place, torch.Tensor]], total: torch.Tensor) -> Places:
    """Return the places all of whose results change the total by next to nothing, if they can change it at all."""
    if not results:
        return frozenset()
    gradients = torch.autograd.grad(total, [each for _, each in results], allow_unused=True)
    felt: set[Place] = set()
    none: set[Place] = set()
    for (place, result), gradient in zip(results, gradients, strict=True):
        least = gradient is not None and float((gradient * result.detach()).abs().max()) <= _LEAST
        (none if least else felt).add(place)
    return frozenset(none - felt)
