"""Find the statement that builds each layer, in the source of the classes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from types import CodeType
from typing import Any

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.subject.class_code import attribute_lines, mentions, method_codes, span
from archcheck.measure.subject.module_tree import Node
from archcheck.measure.subject.source_places import class_where, is_outside_torch
from archcheck.measure.subject.source_text import lines_of, parse, shown_file


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
    cls: Any = type(parent)  # which is hashable, whatever its stubs say
    built = _assignment(cls, name) or _declaration(cls, name)
    if built is not None:
        return built
    inherited = places.get(parent_path)
    if inherited is None or not name.isdigit():
        return inherited
    return _item(inherited.file, inherited.line, int(name)) or inherited


_CONTAINERS = (torch.nn.Sequential, torch.nn.ModuleList)
"""Containers that number their items."""


@cache
def _assignment(cls: type, name: str) -> Where | None:
    """Return the place of `self.name = ...` or `self.add_module("name", ...)` in a class or its nearest base."""
    for base in cls.__mro__:
        numbered = name.isdigit() and any(parent in _CONTAINERS for parent in base.__bases__)
        for code in _methods_of(base):
            line = attribute_lines(code).get(name) if mentions(code, name) else None
            if line is None and numbered and code.co_name == "__init__":
                line = _given_to_container(shown_file(code.co_filename), *span(code)).get(name)
            if line is not None:
                return _noted(code, line)
    return None


def _noted(code: CodeType, line: int) -> Where:
    """Return the place of a line in a method, which is remembered for what stands inside the statement."""
    place = Where(file=shown_file(code.co_filename), line=line)
    _methods.setdefault((place.file, line), span(code))
    return place


def _methods_of(cls: type) -> Iterator[CodeType]:
    if not cls.__module__.startswith("torch.nn"):
        yield from (code for code in method_codes(cls) if is_outside_torch(code.co_filename))


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
                    return _noted(code, node.lineno)
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


def _given_to_container(file: str, first: int, last: int) -> dict[str, int]:
    """Return number -> line of each item of `super().__init__(...)` in a method of a class made from a container."""
    for call in ast.walk(_tree_within(file, first, last) or ast.Module([], [])):
        if isinstance(call, ast.Call) and _is_super_init(call):
            return {str(index): item.lineno for index, item in enumerate(_items(call))}
    return {}


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


@cache
def _item(file: str, line: int, index: int) -> Where | None:
    """Return the line of item `index` of the container call that starts at a line."""
    method = _methods.get((file, line))
    call = (_calls_within(file, *method) if method else _calls_in(file)).get(line)
    if call is None:
        return None
    items = _items(call)
    if index >= len(items):
        return None
    found = Where(file=file, line=items[index].lineno)
    if method:
        _methods.setdefault((file, found.line), method)
    return found


@cache
def _calls_within(file: str, first: int, last: int) -> dict[int, ast.Call]:
    tree = _tree_within(file, first, last)
    return _calls_in(file) if tree is None else _calls(tree)


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


@cache
def _calls_in(file: str) -> dict[int, ast.Call]:
    return _calls(parse(file))


def _calls(tree: ast.Module | None) -> dict[int, ast.Call]:
    """Return line -> the outermost call of the statement or item that starts on it.

    That of `super().__init__(...)` builds no layer, but the first item on its line may.
    """
    found: dict[int, ast.Call] = {}
    for node in ast.walk(tree) if tree is not None else ():
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Call):
            found[node.lineno] = value
        elif isinstance(node, ast.Call) and not _is_super_init(node):
            found.setdefault(node.lineno, node)
    return found
