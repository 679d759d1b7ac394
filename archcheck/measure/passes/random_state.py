"""The random generators that a subject may use: those of torch, of Python, and of NumPy if it is imported."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

from archcheck.measure.loading.stubs import StubModule
from archcheck.measure.subject.absent_devices import has_accelerator

_NUMPY = "numpy.random"


def seed_all(seed: int) -> None:
    """Seed every generator. NumPy's is seeded when it is imported, if that happens within `random_states_kept`."""
    seed_torch(seed)
    random.seed(seed)
    if (numpy := _numpy()) is not None:
        numpy.random.seed(seed)
    _LateNumpy.seed = seed


def seed_torch(seed: int) -> None:
    """Seed torch's generators.

    Without an accelerator, `torch.manual_seed` would note a call for each kind of one, with the lines that led to it:
    a seventh of the time of measuring a small network.
    """
    if has_accelerator():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def generator_states() -> tuple[object, ...]:
    """Return the states of the generators of Python and NumPy, for `has_drawn`."""
    numpy = _numpy()
    return random.getstate(), None if numpy is None else _words_of(numpy.random.get_state())


def has_drawn(before: tuple[object, ...]) -> bool:
    """Whether a number was drawn from the generators of Python or NumPy since `before`, right after `seed_all`.

    What imports NumPy's generators draws nothing by that.
    """
    python, numpys = before
    numpy = _numpy()
    if numpy is not None and numpys is None:
        numpys = _words_of(numpy.random.RandomState(_LateNumpy.seed).get_state())
    return generator_states() != (python, numpys)


def _words_of(state: Any) -> tuple[object, ...]:
    return state[1].tobytes(), *state[2:]


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the state of every generator at the end of the block."""
    torchs, pythons = torch.get_rng_state(), random.getstate()
    numpy = _numpy()
    numpys = None if numpy is None else numpy.random.get_state()
    try:
        with nullcontext() if numpy is not None else _LateNumpy():
            yield
    finally:
        torch.set_rng_state(torchs)
        random.setstate(pythons)
        if numpy is not None:
            numpy.random.set_state(numpys)


class _LateNumpy(Loader):
    """Seeds NumPy's generators when code of the subject imports them, so that nobody else has to import them.

    At the end of the block they are as after any import: seeded by chance.
    """

    seed = 0

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):
            sys.meta_path.remove(self)
        if (numpy := _numpy()) is not None:  # it was imported in the block
            numpy.random.seed()

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != _NUMPY:
            return None
        sys.meta_path.remove(self)
        found = import_module(name)
        found.seed(self.seed)
        self._spec = found.__spec__
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _numpy() -> Any:
    """Return NumPy if its generators are imported, and it is not only a stub."""
    numpy = sys.modules.get("numpy")
    return None if isinstance(numpy, StubModule) or _NUMPY not in sys.modules else numpy
