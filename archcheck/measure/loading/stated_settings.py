"""Find the settings of a file: an object, a class of settings, or the defaults of its argument parser."""

from __future__ import annotations

import dataclasses
import inspect
from argparse import Namespace
from types import ModuleType
from typing import Any

from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.parser_defaults import defaults
from archcheck.measure.loading.signatures import missing_arguments, parameters_of
from archcheck.measure.loading.usual_arguments import Input, assumed

NAMES = frozenset({
    "config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "option", "options", "hparams", "hp", "params",
    "hyperparams",
})  # fmt: skip
"""How parameters for settings are called."""


def is_named_as_settings(parameter: inspect.Parameter) -> bool:
    """Whether a parameter has a usual name of settings."""
    return parameter.name.lower().strip("_") in NAMES


def settings_for(
    parameter: inspect.Parameter, module: ModuleType, given: Input | None, *, usual: bool
) -> tuple[Any, str] | None:
    """Return settings for a parameter and their description: an object or class of the file, or parser defaults.

    With `usual`, a class of settings may need arguments that have usual values; these agree with the given input.
    """
    named = is_named_as_settings(parameter)
    names = vars(module)
    annotated = names.get(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation
    if _is_settings_class(annotated, module, strict=False) and (made := _made(annotated, given, usual=usual)):
        return made
    if not named:
        return None
    if parameter.name in names and not callable(names[parameter.name]):
        return names[parameter.name], f"that of {RUNS[module.__name__].shown}" if module.__name__ in RUNS else "its own"
    for value in names.values():
        if _is_settings_class(value, module, strict=True) and (made := _made(value, given, usual=usual)):
            return made
    run = RUNS.get(module.__name__)
    read = defaults(run.trees, names) if run else None
    return (Namespace(**vars(read)), "the defaults of the argument parser of this file") if read else None


def _made(settings: Any, given: Input | None, *, usual: bool) -> tuple[Any, str] | None:
    """Return an object of a settings class and its description; `None` if the class cannot be called."""
    missing = missing_arguments(settings, {})
    values = {
        each.name: known.value
        for each in parameters_of(settings)
        if each.name in missing and usual and (known := assumed(each.name, given, each.annotation)) is not None
    }
    if len(values) < len(missing):
        return None
    try:
        made = settings(**values)
    except Exception:  # whatever the subject raises
        return None
    stated = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return made, f"{settings.__name__}({stated}) of this file{': usual values, guessed' if values else ''}"


def has_settings_class(module: ModuleType) -> bool:
    """Whether a file has a class of settings: then other settings would not be those of the file."""
    return any(_is_settings_class(value, module, strict=True) for value in vars(module).values())


def _is_settings_class(value: Any, module: ModuleType, *, strict: bool) -> bool:
    """Whether a class of the file holds settings. With `strict`, it must be a dataclass or have a name that says so."""
    if not isinstance(value, type) or value.__module__ != module.__name__:
        return False
    if dataclasses.is_dataclass(value):
        return True
    plain = value.__bases__ == (object,) and "forward" not in vars(value)
    return plain and (not strict or value.__name__.lower().endswith((*NAMES, "parameters", "settings")))
