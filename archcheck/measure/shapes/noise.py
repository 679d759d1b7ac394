"""Random numbers of archcheck's own: on the CPU and in single precision, whatever defaults a subject has set."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return numbers between 0 and 1."""
    return torch.rand(tuple(shape), generator=generator, dtype=dtype, device="cpu")


def normal(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return normal numbers about 0 with a deviation of 1."""
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device="cpu")


def integers(low: int, high: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Return integers from `low` on, below `high`."""
    return torch.randint(low, high, tuple(shape), generator=generator, dtype=torch.int64, device="cpu")


def permutation(count: int, seed: int) -> torch.Tensor:
    """Return the integers below `count` in another order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed), dtype=torch.int64, device="cpu")
