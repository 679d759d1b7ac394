"""Suggest what a user meant by a name that a module does not have."""

from __future__ import annotations

import inspect
from types import ModuleType

from archcheck.foundation.words import nearest
from archcheck.measure.loading.model_discovery import root_models

_MAKERS = ("create_model", "get_model")
"""Functions of model libraries that make a model by its name."""
_NAMES = ("model_name", "name", "arch", "architecture")
"""How such functions call the parameter for the name."""
_SHOWN = 5
"""How many models of a module are listed."""


def suggestion(holder: object, name: str, target: str) -> str:
    """Return what to write in place of `name`, which a module or class does not have; else the models of the module.

    This is a similar name, a function that makes a model by its name, or a module inside that has the name.
    """
    stem, head = target.removesuffix(name), target.rpartition(":")[0]
    if match := nearest(name, _public(holder)):
        return f"did you mean `{stem}{match}`?"
    return _elsewhere(holder, name, head) if isinstance(holder, ModuleType) else ""


def _elsewhere(module: ModuleType, name: str, head: str) -> str:
    models = root_models(module)
    for maker in _MAKERS:
        if parameter := _name_of_model(getattr(module, maker, None)):
            return f"did you mean `{head}:{maker} --args {parameter}={name}`?"
    inside = (each for each, value in vars(module).items() if isinstance(value, ModuleType) and hasattr(value, name))
    if holder := next(inside, None):
        return f"did you mean `{head}.{holder}:{name}`?"
    return f"the models there: {', '.join(f'`{model}`' for model in models[:_SHOWN])}" if models else ""


def _public(holder: object) -> list[str]:
    """Return the public callable names of a module or class: classes, functions and models."""
    named = getattr(holder, "__dict__", {}).items()
    return [name for name, value in named if callable(value) and not name.startswith("_")]


def _name_of_model(function: object) -> str | None:
    """Return the first parameter of a function, if it is the name of a model."""
    if not inspect.isfunction(function):
        return None
    first = next(iter(inspect.signature(function).parameters), "")
    return first if first in _NAMES else None
