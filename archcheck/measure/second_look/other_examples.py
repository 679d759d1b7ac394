"""Example inputs with other batch sizes and values, for the second measurement."""

from __future__ import annotations

import torch

from archcheck.measure.loading.example import Example
from archcheck.measure.shapes.containers import tensors_in
from archcheck.measure.shapes.layouts import on_values
from archcheck.measure.shapes.noise import normal, uniform


def batch_of(example: Example) -> int:
    """Return how many samples an example seems to hold: the first extent of its first tensor with axes."""
    tensor = next((each for each in tensors_in([*example.args, *example.kwargs.values()]) if each.dim()), None)
    return 1 if tensor is None else int(tensor.shape[0])


def varied(example: Example, seed: int = 0) -> Example:
    """Return the example with other floats: each times its own factor in [0.5, 1), with a seed a normal factor."""

    def vary(tensor: torch.Tensor) -> torch.Tensor:
        return on_values(tensor, vary_values) if tensor.is_floating_point() else tensor

    def vary_values(tensor: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(2 + seed)
        if seed:
            factors = 3 * normal(tensor.shape, generator).to(tensor.dtype)
        else:
            factors = 0.5 + 0.5 * uniform(tensor.shape, generator).to(tensor.dtype)
        return tensor * factors if tensor.any() else factors

    return example.mapped(vary)
