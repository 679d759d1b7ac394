"""Finds the models that a file is about: classes that no other class of it uses, and functions that make models."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from archcheck.measure.loading.constructor_arguments import missing_arguments
from archcheck.measure.loading.execution import RUNS
from archcheck.measure.loading.import_side_effects import dotted, functions_of
from archcheck.measure.subject.source_text import parse

_BEHIND = ("to", "cuda", "cpu", "eval", "float", "train")
"""Methods that return the model itself."""


def roots(module: ModuleType) -> list[str]:
    """Return the models of a module in source order.

    These are the classes it defines that no other class of it uses, and the instances it makes of other classes. A
    class that has to be given arguments gives way to the instances of it, or to the functions that make one and need
    none. Where there is neither class nor instance, these are the functions that return a model. Classes that could
    not be made, and would have been models, are among them.
    """
    tree = _tree_of(module)
    classes = _classes(module)
    instances = dict(_instances(module, tree))
    of_own = [name for name, value in instances.items() if type(value).__module__ == module.__name__]
    others = [name for name in instances if name not in of_own]
    used = _used(tree, classes) | _mentioned(tree, others) | _handed_over(tree, {*classes})
    free = [name for name in classes if name not in used] or ([] if others else list(classes))
    found = [maker for name in free for maker in _makers(module, tree, name, of_own)] + others
    return _ordered(tree, found or list(_factories(module, tree, {*classes})))


def _tree_of(module: ModuleType) -> ast.Module:
    """Return the source of a module as one tree, an empty one if it is not known."""
    run = RUNS.get(module.__name__)
    if run is not None:
        return ast.Module(body=[node for tree in run.trees for node in tree.body], type_ignores=[])
    tree = parse(module.__file__) if module.__file__ and Path(module.__file__).is_file() else None
    return tree or ast.Module(body=[], type_ignores=[])


def _classes(module: ModuleType) -> list[str]:
    """Return the classes of a module that are models, or would be if they could be made."""
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == module.__name__
    ]
    run = RUNS.get(module.__name__)
    failed = run.broken if run else {}
    return [*own, *(name for node in _tree_of(module).body if (name := _would_be_model(node)) in failed)]


def _would_be_model(node: ast.stmt) -> str:
    """Return the name of a class that reads like a model, `` for anything else."""
    if not isinstance(node, ast.ClassDef):
        return ""
    bases = [dotted(base).rpartition(".")[2] for base in node.bases]
    forward = any(isinstance(each, ast.FunctionDef) and each.name == "forward" for each in node.body)
    model = forward or any(base.endswith("Module") and "Data" not in base for base in bases)
    return node.name if model else ""


def _instances(module: ModuleType, tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """Yield the models that a module has made at its top, each once, by the last name that it has."""
    names = dict.fromkeys(name for node in tree.body if isinstance(node, ast.Assign) for name in _targets(node))
    found = {id(value): (name, value) for name in names if _is_model(value := vars(module).get(name))}
    yield from found.values()


def _is_model(value: object) -> bool:
    return isinstance(value, torch.nn.Module) and any(True for _ in torch.nn.Module.parameters(value))


def _targets(node: ast.Assign) -> list[str]:
    return [each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def _used(tree: ast.Module, classes: Iterable[str]) -> set[str]:
    """Return the classes that the body or the bases of another class mention."""
    known = {*classes}
    return {
        child.id
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and child.id != node.name and child.id in known
    }


def _mentioned(tree: ast.Module, instances: Iterable[str]) -> set[str]:
    """Return the names that the statements mention which make these instances."""
    names = {*instances}
    return {
        child.id
        for node in tree.body
        if isinstance(node, ast.Assign) and names.intersection(_targets(node))
        for child in ast.walk(node.value)
        if isinstance(child, ast.Name)
    }


def _handed_over(tree: ast.Module, classes: set[str]) -> set[str]:
    """Return the classes that another class, or a function that makes one, is given as an argument."""
    makers = classes | _making(tree, classes)
    return {
        child.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func) in makers
        for each in (*node.args, *(keyword.value for keyword in node.keywords))
        for child in ast.walk(each)
        if isinstance(child, ast.Name) and child.id in classes
        if not isinstance(each, ast.Call)
    }


def _makers(module: ModuleType, tree: ast.Module, name: str, instances: list[str]) -> list[str]:
    """Return what stands for a class: itself, or what gives it the arguments that it must have."""
    value = vars(module).get(name)
    if value is None or not missing_arguments(value, {}):
        return [name]
    made = [each for each in instances if type(vars(module)[each]) is value]
    return made or list(_factories(module, tree, {name}, ready=True)) or [name]


def _factories(module: ModuleType, tree: ast.Module, classes: set[str], *, ready: bool = False) -> Iterator[str]:
    """Yield the functions that return a model, but for those that others call; with `ready`, those that can run.

    A function returns a model when it returns a call of `classes`, of a container of torch, of a network of torchvision
    or of a function that does.
    """
    functions, makes = functions_of(tree), _making(tree, classes)
    called = {dotted(each.func) for n in makes for each in ast.walk(functions[n]) if isinstance(each, ast.Call)}
    for name in functions:
        value = vars(module).get(name)
        if name in makes and callable(value):
            free = not missing_arguments(value, {})
            if free if ready else name not in called:
                yield name


def _making(tree: ast.Module, classes: set[str]) -> set[str]:
    """Return the names of the functions that return a model."""
    functions = functions_of(tree)
    makes, known = set[str](), -1
    while known < len(makes):
        known = len(makes)
        makes |= {name for name, node in functions.items() if _returns(node, classes | makes, bool(classes))}
    return makes


def _returns(function: ast.AST, makers: set[str], own: bool) -> bool:
    made = {
        target
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _makes(node.value, makers, own)
        for target in _targets(node)
    }
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return any(_makes(value, makers, own) or dotted(value) in made for value in returned)


def _makes(value: ast.expr, makers: set[str], own: bool) -> bool:
    """Whether an expression is a call that makes a model, also with `.to(device)` behind it."""
    if not isinstance(value, ast.Call):
        return False
    name = dotted(value.func)
    if name in makers:
        return True
    if isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call):
        return value.func.attr in _BEHIND and _makes(value.func.value, makers, own)
    first, _, last = name.rpartition(".")
    return not own and (last == "Sequential" or first.endswith("models"))


def _ordered(tree: ast.Module, names: list[str]) -> list[str]:
    order: dict[str, int] = {}
    for index, node in enumerate(tree.body):
        for name in _targets(node) if isinstance(node, ast.Assign) else [getattr(node, "name", "")]:
            order.setdefault(name, index)
    return sorted(dict.fromkeys(names), key=lambda name: order.get(name, -1))
