"""What is asked of parsed files: the functions and constants in them, what calls give, and what names are bound to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(eq=False)
class Module:
    """A parsed file: its functions, its constants, and the names that it imports."""

    name: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node

    @cached_property
    def functions(self) -> dict[str, list[ast.FunctionDef]]:
        found: dict[str, list[ast.FunctionDef]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
        return found

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        pairs = (
            (target, node.value)
            for node in self.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        )
        return {target.id: value for target, value in pairs if isinstance(target, ast.Name)}

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """The imported names: the module that each is from, and its name there."""
        return {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def function_around(self, node: ast.AST) -> ast.FunctionDef | None:
        while (node := self.parents.get(node)) is not None:  # type: ignore[assignment]
            if isinstance(node, ast.FunctionDef):
                return node
        return None


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def default(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    plain = [*function.args.posonlyargs, *function.args.args]
    pairs = [*zip(plain[::-1], function.args.defaults[::-1], strict=False)]
    pairs += [pair for pair in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if pair[1]]
    yield from (value for argument, value in pairs if argument.arg == name and value is not None)


def argument(name: str, function: ast.FunctionDef, call: ast.Call) -> Iterator[ast.expr]:
    """Yield what a call gives for a parameter."""
    yield from (each.value for each in call.keywords if each.arg == name)
    places = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if places[:1] == ["self"]:
        del places[0]
    if name in places and places.index(name) < len(call.args):
        yield call.args[places.index(name)]


def bindings(name: str, function: ast.FunctionDef) -> Iterator[tuple[ast.expr, int | None]]:
    """Yield what a name of a function is bound to, with the place in a tuple if it is unpacked."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[target], value=value):
                yield from bound(name, target, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield from bound(name, target, value)
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield from bound(name, target, value)


def bound(name: str, target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, int | None]]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value, None
    if isinstance(target, ast.Tuple):
        yield from (
            (value, at) for at, each in enumerate(target.elts) if isinstance(each, ast.Name) and each.id == name
        )


def results(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield what a function returns or yields."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            yield node.value
