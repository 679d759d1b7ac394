"""Measure a model once: what it declares, what it executes, what it costs. The only part that imports torch.

`measure_model` measures an instance in this process; `archcheck.measure.process.worker` does the same in a process of
its own for a target that has to be imported first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archcheck.measure.evidence.record import training_facts as training_facts
    from archcheck.measure.loading.example import example_of as example_of
    from archcheck.measure.model import measure_model as measure_model

__all__ = ["example_of", "measure_model", "training_facts"]

_HOMES = {"example_of": "loading.example", "measure_model": "model", "training_facts": "evidence.record"}


def __getattr__(name: str) -> object:
    # Resolved late, so that the worker can import its own parts before torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
