"""Find the objects of a file that may be its settings, and tell which of them have what a model reads."""

from __future__ import annotations

import ast
import dataclasses
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.import_side_effects import Function, dotted, functions_of, sign_in
from archcheck.measure.loading.signatures import missing_arguments
from archcheck.measure.subject.import_guard import Refused

NAMES = frozenset({
    "config", "configs", "cfg", "conf", "args", "arg", "opt", "opts", "option", "options", "hparams", "hp", "params",
    "hyperparams", "settings",
})  # fmt: skip
"""How parameters for settings are called."""
_WORDS = NAMES | {"default", "defaults", "hyper", "hyperparameters", "parameters", "c"}
_COUNTS = frozenset({"n", "num", "number", "use", "has", "with"})
"""First words of parameters that count something: `num_params`."""
_METHODS = frozenset({"copy", "get", "items", "keys", "pop", "update", "values"})


def is_named_as_settings(name: str) -> bool:
    """Whether a parameter has a name of settings, alone or behind what they are for: `cfg`, `model_cfg`."""
    words = _words(name)
    return bool(words) and words[-1] in NAMES and words[0] not in _COUNTS


def settings_objects(module: ModuleType, parameter: str) -> Iterator[tuple[str, Any]]:
    """Yield objects that may be the settings for a parameter, with their code: variables, then results of functions.

    Those that are called like the parameter come first, then those with a name of settings.
    """
    found = [(name, value) for name, value in vars(module).items() if _is_settings(value)]
    found += [
        (f"{name}[{key!r}]", value)
        for name, several in found
        if isinstance(several, Mapping)
        for key, value in several.items()
        if _is_settings(value)
    ]

    def distance(name: str) -> int:
        words = _words(name.partition("[")[0])
        return 0 if words == _words(parameter) else 1 if _WORDS.intersection(words) else 2

    yield from sorted(found, key=lambda each: distance(each[0]))
    yield from _made_by_functions(module)


def reads_of(value: Any, parameter: str, trees: Sequence[ast.Module]) -> set[str]:
    """Return the names that a class or a function of a file reads of one of its parameters, itself."""
    name = getattr(value, "__name__", "")
    found = set[str]()
    for node in (each for tree in trees for each in tree.body if getattr(each, "name", None) == name):
        functions = (
            [each for each in node.body if isinstance(each, Function)] if isinstance(node, ast.ClassDef) else [node]
        )
        kept = {parameter, *(each for function in functions for each in _kept(function, parameter))}
        for function in functions:
            first = function is node or getattr(function, "name", "") == "__init__"
            found.update(_reads(function, kept if first else kept - {parameter}))
    return found


def answers(settings: Any, names: set[str]) -> bool:
    """Whether settings have all of some names, as keys or as attributes."""
    return all((isinstance(settings, Mapping) and each in settings) or hasattr(settings, each) for each in names)


def is_named(code: str) -> bool:
    """Whether the code of an object has a name of settings: `DEFAULT_CONFIG`, `get_cfg()`."""
    return bool(_WORDS.intersection(_words(code)))


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)]


def _is_settings(value: Any) -> bool:
    if isinstance(value, type):
        return False
    if isinstance(value, Mapping):
        return bool(value) and all(isinstance(key, str) for key in value) and "__builtins__" not in value
    named_tuple = isinstance(value, tuple) and hasattr(value, "_fields")
    known = isinstance(value, Namespace | SimpleNamespace) or dataclasses.is_dataclass(value) or named_tuple
    return known or hasattr(type(value), "model_fields") or type(value).__name__.lower().endswith(tuple(NAMES))


def _made_by_functions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what the functions of a file return that are called like settings, take nothing and only compute."""
    run = RUNS.get(module.__name__)
    functions = {name: node for tree in (run.trees if run else ()) for name, node in functions_of(tree).items()}
    for name, node in functions.items():
        function = vars(module).get(name)
        if not isinstance(function, FunctionType) or not is_named(name) or missing_arguments(function, {}):
            continue
        if sign_in(ast.Module(body=node.body, type_ignores=[]), functions) is not None:
            continue
        try:
            made = function()
        except (Exception, Refused):  # whatever the subject raises
            continue
        if _is_settings(made):
            yield f"{name}()", made


def _kept(function: ast.AST, parameter: str) -> Iterator[str]:
    """Yield the attributes that a method keeps a parameter in: `self.config`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == parameter:
            yield from (dotted(target) for target in node.targets if isinstance(target, ast.Attribute))


def _reads(function: ast.AST, kept: set[str]) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and dotted(node.value) in kept and isinstance(node.ctx, ast.Load):
            yield from () if node.attr in _METHODS else (node.attr,)
        elif isinstance(node, ast.Subscript) and dotted(node.value) in kept and isinstance(node.slice, ast.Constant):
            yield from (node.slice.value,) if isinstance(node.slice.value, str) else ()
        elif isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            key = node.args[0]
            of = dotted(node.func.value) if node.func.attr == "get" else ""
            yield from (
                (key.value,) if of in kept and isinstance(key, ast.Constant) and isinstance(key.value, str) else ()
            )
