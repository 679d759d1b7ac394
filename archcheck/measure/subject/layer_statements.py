"""Find the statement that builds each layer, in the source of the classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from types import CodeType
from typing import Any

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.subject.built_values import (
    CONTAINERS,
    Values,
    agreement,
    construction,
    container_inits,
    fitting,
    is_container,
    items,
    makes,
    values_in,
)
from archcheck.measure.subject.class_code import attribute_lines, method_codes, methods_by_name, span
from archcheck.measure.subject.module_tree import Node
from archcheck.measure.subject.source_places import class_where, is_outside_torch
from archcheck.measure.subject.source_text import lines_of, parse, shown_file

Built = tuple[Where, ast.expr | None]
"""The place of the statement that builds a layer, and the expression that makes it, where that is known."""


def layer_places(nodes: tuple[Node, ...]) -> dict[str, Where]:
    """Return for each layer path the statement that builds it.

    The statement of `self.conv = nn.Conv2d(...)` is the assignment. Of several that set a name, it is the last one that
    can have made the layer that is there. The place of an item of `nn.Sequential(...)` is its own line, and so is that
    of an item that a class made from a container gives to `super().__init__(...)`. Any other child has the place of its
    nearest known parent.
    """
    _tree_within.cache_clear()  # a module that was edited is another one after it is imported again
    _values_within.cache_clear()
    _inits_within.cache_clear()
    lines_of.cache_clear()
    places: dict[str, Where] = {}
    made: dict[str, ast.Call | None] = {}
    modules = {node.path: node.module for node in nodes}
    for node in nodes:
        if not node.path:
            where = class_where(type(node.module))
        else:
            parent_path, _, name = node.path.rpartition(".")
            built = _child(modules.get(parent_path), made.get(parent_path), places.get(parent_path), name, node.module)
            where = built[0] if built else places.get(parent_path)
            if built and built[1] and is_container(node.module):
                made[node.path] = construction(built[1], node.module)
        if where is not None:
            places[node.path] = where
    return places


def _child(
    parent: torch.nn.Module | None, made: ast.Call | None, inherited: Where | None, name: str, module: torch.nn.Module
) -> Built | None:
    """Return what builds a child. `made` is the call that made its parent, if that is a container, at `inherited`."""
    if parent is None:
        return None
    cls: Any = type(parent)  # which is hashable, whatever its stubs say
    if statements := _assignments(cls, name):
        where = _chosen(statements, name, module)
        return where, _value(where, name) if is_container(module) else None
    if declared := _declaration(cls, name):
        return declared, None
    file, call = (inherited.file, made) if inherited and made else _own_call(cls, parent)
    item = items(call).get(name) if call else None
    if item is None or makes(item, module) is False:  # another module was put in its place
        return None
    return Where(file=file, line=item.lineno), item


def _chosen(statements: tuple[tuple[Where, ...], ...], name: str, module: torch.nn.Module) -> Where:
    """Return the statement that made a module, of those that set a name, which are given method by method."""
    if len(statements) == len(statements[0]) == 1:
        return statements[0][0]
    for places in statements:
        agreements = [agreement(_value(where, name), module) for where in places]
        if (best := max(agreements)) >= 0:
            return places[max(index for index, each in enumerate(agreements) if each == best)]
    return statements[0][-1]


def _value(where: Where, name: str) -> ast.expr | None:
    method = _methods.get((where.file, where.line))
    return _values_within(where.file, *method).get((name, where.line)) if method else None


@cache
def _values_within(file: str, first: int, last: int) -> Values:
    return values_in(_tree_within(file, first, last) or ast.Module([], []))


def _own_call(cls: type, container: torch.nn.Module) -> tuple[str, ast.Call | None]:
    """Return the file and the call by which a class made from a container gives it its items."""
    for base in cls.__mro__:
        if "__init__" in vars(base) and any(parent in CONTAINERS for parent in base.__bases__):
            for code in (each for each in _methods_of(base) if each.co_name == "__init__"):
                file = shown_file(code.co_filename)
                return file, fitting(_inits_within(file, *span(code)), container)
    return "", None


@cache
def _inits_within(file: str, first: int, last: int) -> list[ast.Call]:
    return [*container_inits(_tree_within(file, first, last) or ast.Module([], []))]


@cache
def _assignments(cls: type, name: str) -> tuple[tuple[Where, ...], ...]:
    """Return the places of `self.name = ...` or `self.add_module("name", ...)` in a class and its bases.

    They come method by method: those of the class before those of its bases, and those of `__init__` first.
    """
    found: list[tuple[Where, ...]] = []
    for base in cls.__mro__:
        if _is_of_torch(base):
            continue
        naming = (code for code in methods_by_name(base).get(name, ()) if is_outside_torch(code.co_filename))
        for code in sorted(naming, key=lambda each: each.co_name != "__init__"):
            file, set_at = shown_file(code.co_filename), attribute_lines(code).get(name, ())
            if set_at:
                found.append(tuple(Where(file=file, line=line) for line in set_at))
            for line in set_at:
                _methods[file, line] = span(code)
    return tuple(found)


def _methods_of(cls: type) -> Iterator[CodeType]:
    if not _is_of_torch(cls):
        yield from (code for code in method_codes(cls) if is_outside_torch(code.co_filename))


def _is_of_torch(cls: type) -> bool:
    return cls.__module__.startswith("torch.nn")


@cache
def _declaration(cls: type, name: str) -> Where | None:
    """Return the place of `self.name: nn.Module` without a value, of which compiled code keeps nothing."""
    if name.isdigit():
        return None
    for base in cls.__mro__:
        for code in _methods_of(base):
            file, lines = shown_file(code.co_filename), span(code)
            if name not in _text_within(file, *lines):
                continue
            for node in ast.walk(_tree_within(file, *lines) or ast.Module([], [])):
                if isinstance(node, ast.AnnAssign) and getattr(node.target, "attr", None) == name:
                    return Where(file=file, line=node.lineno)
    return None


_methods: dict[tuple[str, int], tuple[int, int]] = {}
"""File and line of a statement -> the first and last line of the method that it stands in."""


def class_statement(cls: type) -> ast.ClassDef | None:
    """Return the statement of a class of the subject, also in a notebook; `None` if its source is not known."""
    where = class_where(cls)
    tree = None if where is None else parse(where.file)
    if where is None or tree is None:
        return None
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    return next((node for node in statements if _starts(node, where.line)), None)


def _starts(node: ast.ClassDef, line: int) -> bool:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return first <= line <= node.lineno


def _text_within(file: str, first: int, last: int) -> str:
    try:
        return "".join(lines_of(file)[first - 1 : last])
    except (OSError, SyntaxError, ValueError):
        return ""


@cache
def _tree_within(file: str, first: int, last: int) -> ast.Module | None:
    """Return the syntax tree of a method in these lines. A large file is not parsed for one method."""
    try:
        return ast.increment_lineno(ast.parse(f"if 1:\n{_text_within(file, first, last)}"), first - 2)
    except (SyntaxError, ValueError):
        return None
