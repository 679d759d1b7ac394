"""Random numbers for archcheck itself: on the CPU and in float32, whatever defaults a subject has set."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return uniform numbers in [0, 1)."""
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device="cpu")


def normal(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return normal numbers with mean 0 and standard deviation 1."""
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device="cpu")


def integers(low: int, high: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Return uniform integers in [low, high)."""
    return torch.randint(low, high, tuple(shape), generator=generator, dtype=torch.int64, device="cpu")


def permutation(count: int, seed: int) -> torch.Tensor:
    """Return a random permutation of the integers below `count`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed), dtype=torch.int64, device="cpu")
