"""The sources of random numbers that a subject may draw from: torch, Python, and NumPy where it is imported."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from archcheck.measure.loading.stubs import StubModule


def seed_all(seed: int) -> None:
    """Start every source again."""
    torch.manual_seed(seed)
    random.seed(seed)
    if (numpy := _numpy()) is not None:
        numpy.random.seed(seed)


def drawn() -> tuple[object, ...]:
    """Return a mark of how far the sources of Python and NumPy are: it differs after something was drawn."""
    numpy = _numpy()
    state = () if numpy is None else numpy.random.get_state()
    return random.getstate(), *((state[1].tobytes(), *state[2:]) if state else ())


@contextmanager
def same_chance() -> Iterator[None]:
    """Put the state of every source back in the end."""
    torchs, pythons = torch.get_rng_state(), random.getstate()
    numpy = _numpy()
    numpys = None if numpy is None else numpy.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(torchs)
        random.setstate(pythons)
        if numpy is not None:
            numpy.random.set_state(numpys)


def _numpy() -> Any:
    """Return NumPy if it is imported; what stands in for it where it is not installed draws nothing."""
    numpy = sys.modules.get("numpy")
    return None if isinstance(numpy, StubModule) else numpy
