"""Find the statement that builds each layer, in the source of the classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.subject.module_tree import Node
from archcheck.measure.subject.source_places import class_where
from archcheck.measure.subject.source_text import parse


def layer_places(nodes: tuple[Node, ...]) -> dict[str, Where]:
    """Return for each layer path the statement that builds it.

    The statement of `self.conv = nn.Conv2d(...)` is the assignment. The place of an item of `nn.Sequential(...)` is its
    own line, and so is that of an item that a class made from a container gives to `super().__init__(...)`. Any other
    child has the place of its nearest known parent.
    """
    places: dict[str, Where] = {}
    modules = {node.path: node.module for node in nodes}
    for node in nodes:
        parent_path, _, name = node.path.rpartition(".")
        built = _child_place(modules, places, parent_path, name) if node.path else None
        where = built if node.path else class_where(type(node.module))
        if where is not None:
            places[node.path] = where
    return places


def _child_place(
    modules: dict[str, torch.nn.Module], places: dict[str, Where], parent_path: str, name: str
) -> Where | None:
    parent = modules.get(parent_path)
    if parent is None:
        return places.get(parent_path)
    built = _assignments(type(parent)).get(name)  # type: ignore[arg-type]  # a class is hashable
    if built is not None:
        return built
    inherited = places.get(parent_path)
    if inherited is None or not name.isdigit():
        return inherited
    return _item(inherited.file, inherited.line, int(name)) or inherited


_CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList)
"""Containers that number their items."""


@cache
def _assignments(cls: type) -> dict[str, Where]:
    """Return attribute -> place of `self.name = ...` or `self.add_module("name", ...)` in a class and its bases."""
    found: dict[str, Where] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("torch.nn") or base is object:
            continue
        where, node = class_where(base), class_statement(base)
        if where is not None and node is not None:
            if any(parent in _CONTAINERS for parent in base.__bases__):
                found.update(_given_to_container(node, where.file))
            found.update(_assigned(node, where.file))
    return found


def class_statement(cls: type) -> ast.ClassDef | None:
    """Return the statement of a class of the subject, also in a notebook; `None` if its source is not known."""
    where = class_where(cls)
    tree = None if where is None else parse(where.file)
    if where is None or tree is None:
        return None
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    return next((node for node in statements if _starts(node, where.line)), None)


def _given_to_container(node: ast.ClassDef, file: str) -> Iterator[tuple[str, Where]]:
    """Yield the number and the place of each item of `super().__init__(...)` in a class made from a container."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and _is_super_init(call):
            items = _items(call)
            yield from ((str(index), Where(file=file, line=item.lineno)) for index, item in enumerate(items))


def _is_super_init(call: ast.Call) -> bool:
    """Whether a call is `super().__init__(...)`, also in its older spelling with arguments of `super`."""
    of = call.func
    if not (isinstance(of, ast.Attribute) and of.attr == "__init__" and isinstance(of.value, ast.Call)):
        return False
    return isinstance(of.value.func, ast.Name) and of.value.func.id == "super"


def _items(call: ast.Call) -> list[ast.expr]:
    """Return the items of a container's call, also those in a list; none if it does not show them all."""
    items = call.args
    if len(items) == 1 and isinstance(items[0], ast.List | ast.Tuple):
        items = items[0].elts
    return [] if any(isinstance(item, ast.Starred | ast.GeneratorExp | ast.ListComp) for item in items) else items


def _starts(node: ast.ClassDef, line: int) -> bool:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first <= line <= node.lineno


def _assigned(node: ast.ClassDef, file: str) -> dict[str, Where]:
    found: dict[str, Where] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.stmt | ast.expr):
            for name in (*_assigned_attributes(child), *_added_names(child)):
                found.setdefault(name, Where(file=file, line=child.lineno))
    return found


def _assigned_attributes(node: ast.stmt | ast.expr) -> Iterator[str]:
    """Yield `name` for `self.name = ...`, also in tuples."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = [item for target in node.targets for item in getattr(target, "elts", [target])]
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    for target in targets:
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            yield target.attr


def _added_names(node: ast.stmt | ast.expr) -> Iterator[str]:
    """Yield `name` for `self.add_module("name", ...)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return
    first = node.args[0]
    if node.func.attr in ("add_module", "register_module") and isinstance(first, ast.Constant):
        yield str(first.value)


@cache
def _item(file: str, line: int, index: int) -> Where | None:
    """Return the line of item `index` of the container call that starts at a line."""
    call = _calls(file).get(line)
    if call is None:
        return None
    items = _items(call)
    return Where(file=file, line=items[index].lineno) if index < len(items) else None


@cache
def _calls(file: str) -> dict[int, ast.Call]:
    """Return line -> the outermost call of the statement or item that starts on it.

    That of `super().__init__(...)` builds no layer, but the first item on its line may.
    """
    tree = parse(file)
    found: dict[int, ast.Call] = {}
    for node in ast.walk(tree) if tree is not None else ():
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call):
            found[node.lineno] = value
        elif isinstance(node, ast.Call) and not _is_super_init(node):
            found.setdefault(node.lineno, node)
    return found
