"""Find the settings of a file: an object, a class of settings, or the defaults of its argument parser."""

from __future__ import annotations

import dataclasses
import inspect
from argparse import Namespace
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.parser_defaults import defaults
from archcheck.measure.loading.settings_objects import (
    NAMES,
    answers,
    is_named,
    is_named_as_settings,
    reads_of,
    settings_objects,
)
from archcheck.measure.loading.signatures import missing_arguments, parameters_of
from archcheck.measure.loading.usual_arguments import Input, assumed

Found = tuple[Any, str]
"""Settings, and what they are, for a note."""


def settings_for(
    parameter: inspect.Parameter, value: Any, module: ModuleType, given: Input | None, *, usual: bool
) -> Found | None:
    """Return settings for a parameter of `value` and their description: of the file's objects, classes or parser.

    Those are preferred that have everything that `value` reads of the parameter. With `usual`, a class of settings may
    need arguments that have usual values; these agree with the given input.
    """
    names = vars(module)
    run = RUNS.get(module.__name__)
    annotated = names.get(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation
    if _is_settings_class(annotated, module, strict=False) and (made := _made(annotated, given, usual=usual)):
        return made
    if not is_named_as_settings(parameter.name):
        return None
    shown = f"of {run.shown}" if run else "of its module"
    if names.get(parameter.name) is not None and not callable(names[parameter.name]):
        return names[parameter.name], f"that {shown}"
    reads = reads_of(value, parameter.name, run.trees if run else ())
    for code, settings in settings_objects(module, parameter.name):
        if answers(settings, reads) if reads else is_named(code):
            return settings, f"`{code}` {shown}"
    objects = [each for settings in _settings_classes(module) if (each := _made(settings, given, usual=usual))]
    if fitting := next((each for each in objects if answers(each[0], reads)), None):
        return fitting
    read = defaults(run.trees, names) if run else None
    if read and (not objects or answers(read, reads)):
        return Namespace(**vars(read)), "the defaults of the argument parser of this file"
    return objects[0] if objects else None


def _made(settings: Any, given: Input | None, *, usual: bool) -> Found | None:
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
    return any(True for _ in _settings_classes(module))


def _settings_classes(module: ModuleType) -> Iterator[Any]:
    return (value for value in vars(module).values() if _is_settings_class(value, module, strict=True))


def _is_settings_class(value: Any, module: ModuleType, *, strict: bool) -> bool:
    """Whether a class of the file holds settings. With `strict`, it must say so by its kind or its name.

    A dataclass, a named tuple and a model of pydantic say so.
    """
    if not isinstance(value, type) or value.__module__ != module.__name__:
        return False
    if dataclasses.is_dataclass(value) or hasattr(value, "model_fields") or hasattr(value, "_fields"):
        return True
    plain = "forward" not in vars(value) and all(
        base is object or _is_settings_class(base, module, strict=False) for base in value.__bases__
    )
    return plain and (not strict or value.__name__.lower().endswith((*NAMES, "parameters")))
