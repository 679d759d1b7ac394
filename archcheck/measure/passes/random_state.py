"""The random generators that a subject may use: those of torch, of Python, and of NumPy if it is imported."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from archcheck.measure.loading.stubs import StubModule


def seed_all(seed: int) -> None:
    """Seed every generator."""
    torch.manual_seed(seed)
    random.seed(seed)
    if (numpy := _numpy()) is not None:
        numpy.random.seed(seed)


def drawn() -> tuple[object, ...]:
    """Return the states of the generators of Python and NumPy, which differ after a draw."""
    numpy = _numpy()
    state = () if numpy is None else numpy.random.get_state()
    return random.getstate(), *((state[1].tobytes(), *state[2:]) if state else ())


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the state of every generator at the end of the block."""
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
    """Return NumPy if it is imported, and not only a stub of it."""
    numpy = sys.modules.get("numpy")
    return None if isinstance(numpy, StubModule) else numpy
