"""Other inputs of the same shapes as the example: zeros, large values, noise, and several samples beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from archcheck.errors import SubjectError
from archcheck.measure.behaviour.bench import Bench
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.axes import Varied, choose
from archcheck.measure.passes.forward import inputs_of

Change = Callable[[torch.Tensor], torch.Tensor]


def zeros(example: Example) -> Example:
    """Return the example with zeros for floating inputs; tokens are all the smallest that the example shows."""
    return _varied(example, torch.zeros_like, lambda tokens: torch.full_like(tokens, int(tokens.min())))


def large(example: Example, factor: float) -> Example:
    """Return the example with floating inputs times `factor`; tokens are all the largest that the example shows."""
    return _varied(example, lambda each: each * factor, lambda tokens: torch.full_like(tokens, int(tokens.max())))


def noise(example: Example, seed: int) -> Example:
    """Return the example with random numbers in place of its own.

    They are normal, with the mean and the deviation of the example, or, where nothing in the example is negative,
    uniform between its extremes, so that what takes logarithms or intensities is given some. Tokens are uniform
    between the smallest and the largest that the example shows.
    """
    generator = torch.Generator().manual_seed(seed)
    return _varied(example, lambda each: _noisy(each, generator), lambda tokens: _tokens(tokens, generator))


def centred(tensor: torch.Tensor, factor: float = 1) -> torch.Tensor:
    """Return numbers of both signs, `factor` times as far apart: for those of one sign, a gate may never change."""
    return factor * (tensor - tensor.mean()) if tensor.is_floating_point() else tensor


def magnitude(tensor: torch.Tensor) -> torch.Tensor:
    """Return floating numbers without their sign."""
    return tensor.abs() if tensor.is_floating_point() else tensor


def negated(tensor: torch.Tensor) -> torch.Tensor:
    """Return floating numbers with the other sign."""
    return -tensor if tensor.is_floating_point() else tensor


def _noisy(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if tensor.is_complex():
        return torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator).to(tensor.device)
    values = tensor.double()
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high > low:
        drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * (high - low) + low
    else:
        spread = float(values.std()) if high > low else 1.0
        drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * spread + float(values.mean())
    return drawn.to(tensor.dtype).to(tensor.device)


def _tokens(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    low, high = int(tensor.min()), int(tensor.max())
    return torch.randint(low, high + 1, tensor.shape, generator=generator).to(tensor.dtype).to(tensor.device)


def _varied(example: Example, floats: Change, tokens: Change) -> Example:
    """Change floating inputs, or tokens where there are none; masks, lengths and time steps stay as they are.

    Tokens are integers with as many axes as the first input of integers; one of zeros and ones beside other inputs
    is a mask.
    """
    tensors = [tensor for tensor in inputs_of(example) if tensor.numel()]
    any_floats = any(_floats(tensor) for tensor in tensors)
    axes = next((tensor.dim() for tensor in tensors if _integers(tensor)), 0)

    def change(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.numel():
            return tensor
        if _floats(tensor):
            return floats(tensor)
        if any_floats or not _integers(tensor) or tensor.dim() != axes:
            return tensor
        return tokens(tensor) if len(tensors) == 1 or int(tensor.max()) > 1 else tensor

    return example.mapped(change)


def _floats(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _integers(tensor: torch.Tensor) -> bool:
    return not _floats(tensor) and tensor.dtype != torch.bool


class Samples:
    """Samples of noise beside each other along the batch axis, of which some can be picked, in any order."""

    def __init__(self, bench: Bench, count: int, seed: int) -> None:
        axis = bench.batch_axis
        if axis is None:
            raise SubjectError("input", "no axis of the input is known to count samples")
        self.axis = axis
        self.example, self._moving = _grown(bench, axis, count, seed)

    def pick(self, rows: Sequence[int]) -> Example:
        """Return the example of the samples with these numbers."""

        def picked(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in self._moving:
                return tensor
            return tensor.index_select(self.axis, torch.tensor(rows, device=tensor.device))

        return self.example.mapped(picked)

    def beside(self, others: Example, kept: Callable[[int], bool]) -> Example:
        """Return the example of the samples whose numbers are `kept`, each at its place among those of `others`."""
        theirs = iter(_flat(others))

        def mixed(tensor: torch.Tensor) -> torch.Tensor:
            other = next(theirs)
            if id(tensor) not in self._moving:
                return tensor
            shape = [-1 if axis == self.axis else 1 for axis in range(tensor.dim())]
            mine = torch.tensor([kept(row) for row in range(tensor.shape[self.axis])], device=tensor.device)
            return torch.where(mine.view(shape), tensor, other)

        return self.example.mapped(mixed)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return next(tensor.shape[self.axis] for tensor in _flat(self.example) if id(tensor) in self._moving)


def _grown(bench: Bench, axis: int, count: int, seed: int) -> tuple[Example, set[int]]:
    """Return an example of `count` samples, and the identities of the tensors that hold them."""
    chosen = choose(bench.example, None, bench.trace, bench.tree)
    varied = Varied(chosen, (axis,))
    other = count + 1 if chosen.tensor.shape[axis] == count else count  # so that what grows shows by its shape
    grown = noise(varied.example_at(bench.example, (other,), values=True), seed)
    before, after = _flat(bench.example), _flat(grown)
    moving = {id(new) for old, new in zip(before, after, strict=True) if old.shape != new.shape}
    return grown, moving


def _flat(example: Example) -> list[torch.Tensor]:
    found: list[Any] = []
    example.mapped(lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found
