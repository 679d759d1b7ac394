"""Find arguments for a constructor: those of a call in its file, else usual values. The report names them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import torch

from archcheck.measure.loading.assumed_settings import AssumedSettings, read_all
from archcheck.measure.loading.execution import RUNS, Run
from archcheck.measure.loading.import_side_effects import dotted
from archcheck.measure.loading.parser_defaults import defaults, evaluate
from archcheck.measure.loading.settings_objects import NAMES, is_named_as_settings
from archcheck.measure.loading.signatures import missing_arguments, parameters_of
from archcheck.measure.loading.stated_settings import has_settings_class, settings_for
from archcheck.measure.loading.stubs import Stub
from archcheck.measure.loading.usual_arguments import Assumed, Input, assumed
from archcheck.measure.subject.source_text import place


@dataclasses.dataclass(frozen=True, slots=True)
class Guess:
    """Guessed arguments, and the report's notes about them; `settings` are objects that no file states, by name."""

    args: Mapping[str, Any]
    said: tuple[str, ...] = ()
    settings: Mapping[str, AssumedSettings] = dataclasses.field(default_factory=dict)

    @property
    def tried(self) -> tuple[str, ...]:
        """The notes, for an error: nothing was built with the arguments."""
        return tuple(re.sub("^built ", "tried ", note) for note in self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes. Once the model is built, they name every value that it has read from settings."""
        read = {
            name: ", ".join(f"{key}={value!r}" for key, value in used.read()) for name, used in self.settings.items()
        }
        assumed = (
            f"`{name}` is stated by no file" + (values and f"; assumed: {values}") for name, values in read.items()
        )
        return (*self.said, *assumed)


def guess(
    value: Any, module: ModuleType, args: Mapping[str, Any], given: Callable[[], Input | None], *, usual: bool = True
) -> Guess:
    """Return arguments for the missing parameters: those of a call in the file, its settings, or usual values.

    `given` returns the given input, which usual values agree with. Without `usual`, only values are taken that the file
    or the input tells. A parameter for which there is none of these stays missing.
    """
    missing = missing_arguments(value, args) + _stubbed(value, args)
    if not missing:
        return Guess({})
    found = called(value, module, args)
    if found is not None:
        return found
    chosen: dict[str, Any] = {}
    notes: list[str] = []
    told: list[str] = []
    guessed: list[str] = []
    unknown: dict[str, AssumedSettings] = {}
    example = given()
    for parameter in (each for each in parameters_of(value) if each.name in missing):
        name = parameter.name
        known = assumed(name, example, parameter.annotation)
        if (stated := _stated(parameter, value, module, example, known, usual=usual)) is not None:
            chosen[name] = stated[0]
            notes.append(f"`{name}` is {stated[1]}")
        elif known is not None and (known.told or usual):
            chosen[name] = _fitting(name, known.value, chosen)
            (told if known.told else guessed).append(f"{name}={chosen[name]!r}")
        elif known is None and usual and name.lower().strip("_") in NAMES and not has_settings_class(module):
            chosen[name] = unknown[name] = AssumedSettings(example, name)
            read_all(unknown[name], RUNS[module.__name__].trees if module.__name__ in RUNS else (), NAMES)
    if told:
        notes.insert(0, f"built with {', '.join(told)}: as the input has it")
    if guessed:
        notes.insert(0, f"built with {', '.join(guessed)}: usual values, guessed; `--args` gives others")
    return Guess(chosen, tuple(notes), unknown)


def _stated(
    parameter: inspect.Parameter,
    value: Any,
    module: ModuleType,
    example: Input | None,
    known: Assumed | None,
    *,
    usual: bool,
) -> tuple[Any, str] | None:
    """Return what the file states for a parameter, and a description: settings, a constant, or a part of the model."""
    if (settings := settings_for(parameter, value, module, example, usual=usual)) is not None:
        return settings
    if known is not None and known.told:
        return None
    run = RUNS.get(module.__name__)
    for name in (parameter.name, parameter.name.upper()) if run else ():
        if isinstance(constant := vars(module).get(name), int | float | str | list | tuple):
            return constant, f"{constant!r}: `{name}` of {run.shown if run else 'its file'}"
    part = parameter.annotation
    part = vars(module).get(part) if isinstance(part, str) else part
    if not usual or part is value or not isinstance(part, type) or part.__module__ != module.__name__:
        return None
    if not issubclass(part, torch.nn.Module):
        return None
    arguments = guess(part, module, {}, lambda: example)
    try:
        made = part(**arguments.args)
    except Exception:  # whatever the subject raises
        return None
    return (
        made,
        f"an object of `{part.__name__}` of this file, guessed{''.join(f' ({note})' for note in arguments.notes)}",
    )


def _stubbed(value: Any, args: Mapping[str, Any]) -> list[str]:
    """Return the parameters for settings whose default is of a module that is not here."""
    return [
        each.name
        for each in parameters_of(value)
        if isinstance(each.default, Stub) and each.name not in args and is_named_as_settings(each.name)
    ]


def _fitting(name: str, value: Any, chosen: Mapping[str, Any]) -> Any:
    """Return a value that fits the others: there are as many numbers of heads as depths."""
    depths = chosen.get("depths")
    return [value] * len(depths) if isinstance(depths, list) and "head" in name and isinstance(value, int) else value


def called(value: Any, module: ModuleType, args: Mapping[str, Any] = {}) -> Guess | None:
    """Return the arguments of the first call in the file that has values for all missing parameters."""
    missing = missing_arguments(value, args)
    name = getattr(value, "__name__", "")
    for file, call, names in _calls(module, name):
        bound, unknown = _bound(value, call, names)
        if all(each in bound for each in missing):
            chosen = {key: each for key, each in bound.items() if key in missing or not args}
            text = " ".join(ast.unparse(call).split())
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            left = f", without {', '.join(f'`{each}`' for each in unknown)}" if unknown else ""
            return Guess(chosen, (f"built as at {place(file, call.lineno)}: `{shown}`{left}",))
    return None


def _calls(module: ModuleType, name: str) -> Iterator[tuple[str, ast.Call, Mapping[str, Any]]]:
    """Yield the calls of `name` outside of its definition: the file, the call, and the names that are known there."""
    run = RUNS.get(module.__name__)
    for file, tree in zip(run.read_files, run.trees, strict=True) if run else ():
        for statement in tree.body:
            if getattr(statement, "name", None) == name:
                continue
            found = [n for n in ast.walk(statement) if isinstance(n, ast.Call) and dotted(n.func) == name]
            local = constants(statement, vars(module), run) if found and run else {}
            yield from ((file, call, {**vars(module), **local}) for call in found)


def constants(statement: ast.AST, names: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return the names that a statement assigns to known values, each with its first value."""
    known: dict[str, Any] = {}
    if isinstance(statement, ast.FunctionDef):
        given = statement.args
        named = [*zip(reversed([*given.posonlyargs, *given.args]), reversed(given.defaults), strict=False)]
        named += [(each, value) for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
        found = ((each.arg, evaluate(value, names)) for each, value in named)
        known.update({name: value for name, (value, told) in found if told})
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value, told = evaluate(node.value, {**names, **known})
            if not told and isinstance(node.value, ast.Call) and dotted(node.value.func).endswith(".parse_args"):
                value = defaults(run.trees, names)
                told = value is not None
            if told:
                known.setdefault(node.targets[0].id, value)
    return known


_UNKNOWN = object()
"""Stands for an argument whose value only running the file tells."""


def _bound(value: Any, call: ast.Call, names: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the known arguments of a call by parameter name, and the names of the others."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument in call.args:
        starred = isinstance(argument, ast.Starred)
        found, known = evaluate(argument.value if isinstance(argument, ast.Starred) else argument, names)
        if starred and not (known and isinstance(found, list | tuple)):
            return {}, []
        positional += found if starred else [found if known else _UNKNOWN]
    for keyword in call.keywords:
        found, known = evaluate(keyword.value, names)
        if keyword.arg is None and not (known and isinstance(found, Mapping)):
            return {}, []
        keywords.update(found if keyword.arg is None else {keyword.arg: found if known else _UNKNOWN})
    try:
        bound = inspect.signature(value).bind(*positional, **keywords)
    except (TypeError, ValueError):
        return {}, []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    if any(bound.signature.parameters[name].kind in kinds for name in bound.arguments):
        return {}, []
    unknown = [name for name, each in bound.arguments.items() if each is _UNKNOWN]
    return {name: each for name, each in bound.arguments.items() if each is not _UNKNOWN}, unknown
