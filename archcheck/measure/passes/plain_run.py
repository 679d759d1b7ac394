"""Runs a model as its users do, without a sign of archcheck on the stack, among the modules or in the environment.

A model may behave differently while it is measured. So this run removes the signs that are easy to find: the frames,
modules, modes, hooks and variables of archcheck, and a clock that has not moved since the model was built.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from archcheck.measure.loading.example import Example
from archcheck.measure.passes.random_state import seed_all
from archcheck.measure.passes.replaced_attributes import replaced
from archcheck.measure.passes.restore import default_device
from archcheck.measure.subject.absent_devices import join_in_thread
from archcheck.measure.subject.measured_method import as_users_call

_SIGNS = ("ARCHCHECK", "PYTEST")
"""Prefixes of environment variables that reveal a measurement."""
_CLOCKS = ("time", "monotonic", "perf_counter", "process_time")
_LATER = 10**8
"""Seconds by which the clocks are ahead: three years."""


def outputs(model: torch.nn.Module, example: Example) -> Any:
    """Return the output for `example`, computed in a new thread without our frames, with gradients enabled.

    Raise what the model raises.
    """
    seed_all(0)
    copied = example.copied()
    with (
        as_users_call(model) as called,
        ThreadPoolExecutor(1, initializer=_begin, initargs=(default_device(),)) as pool,
        _hidden(),
    ):
        return pool.submit(partial(called, *copied.args, **copied.kwargs)).result()


def _begin(device: torch.device | None) -> None:
    """Prepare a new thread, which begins with torch's own default device and without replaced devices."""
    torch.set_default_device(device)
    join_in_thread()


def in_sight(model: torch.nn.Module, example: Example) -> Any:
    """Return the output, computed in this thread with every sign in place. Raise what the model raises."""
    seed_all(0)
    with torch.enable_grad():
        return example.given_to(model)


@contextmanager
def _hidden() -> Iterator[None]:
    ours = {name: each for name, each in sys.modules.items() if name.partition(".")[0] == "archcheck"}
    names = {name: value for name, value in os.environ.items() if name.startswith(_SIGNS)}
    clocks = {name: _ahead(getattr(time, name)) for name in _CLOCKS}
    command, sys.orig_argv = sys.orig_argv, [sys.executable]
    try:
        for name in ours:
            del sys.modules[name]
        for name in names:
            del os.environ[name]
        with replaced(time, clocks):
            yield
    finally:
        os.environ.update(names)
        for name in [name for name in sys.modules if name.partition(".")[0] == "archcheck"]:
            del sys.modules[name]
        sys.modules.update(ours)
        sys.orig_argv = command


def _ahead(clock: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        return clock() + _LATER

    return now
