"""Measure a model once: what it declares, what it executes, what it costs. The only part that imports torch.

`measure_model` measures an instance in this process; `archcheck.measure.process.worker` does the same in a process of
its own for a target that has to be imported first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archcheck.measure.model import measure_model as measure_model

__all__ = ["measure_model"]


def __getattr__(name: str) -> object:
    # Resolved late, so that the worker can import its own parts before torch.
    if name != "measure_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from archcheck.measure.model import measure_model

    return measure_model
