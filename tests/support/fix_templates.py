"""Find every fix text that the code can produce, by following the code to where `fix` is given.

A text is a template: what is filled in when a rule judges is any text. A choice in the code (`x if y else z`, a table
of texts) gives a template for each branch. Code that this does not understand raises `NotUnderstood`: then either write
the fix more plainly, or teach this module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.syntax_trees import Module, argument, arguments, bindings, calls, default, name_of, results

TAKERS = ("Finding", "NotMeasured", "SubjectError", "Dropout")
"""What is given a `fix`: findings, reasons why nothing was measured, and dropouts, whose fix becomes a finding's. What
a probe answers is a table with the key `fix`.
"""
ANY = ".+"
"""What is filled in when a rule judges."""

Texts = frozenset[str]


class NotUnderstood(Exception):
    """The code gives a fix in a way that is not followed here."""


@dataclass(frozen=True)
class Template:
    """A fix text: the pattern that it matches, and where in the code it is given to a finding."""

    pattern: str
    place: str

    def __str__(self) -> str:
        return re.sub(r"\\(.)", r"\1", self.pattern.replace(ANY, "…"))


class Code:
    """The files in which fixes are looked for."""

    def __init__(self, root: Path, files: Iterable[Path]) -> None:
        self.modules: dict[str, Module] = {}
        for file in files:
            name = ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            self.modules[name] = Module(name=name, tree=ast.parse(file.read_text(encoding="utf-8")))
        self._calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.modules.values():
            for call in calls(module.tree):
                self._calls.setdefault(name_of(call.func), []).append((module, call))

    def templates(self) -> list[Template]:
        """Return every template once, in the order of the files."""
        found: dict[str, Template] = {}
        for module in self.modules.values():
            for given in _given(module.tree):
                place = f"{module.name}:{given.lineno}"
                for text in sorted(self._texts(given, module, place) - {""}):
                    found.setdefault(text, Template(text, place))
        return list(found.values())

    def _texts(self, node: ast.expr, module: Module, place: str) -> Texts:
        """Return the templates that an expression may be. What another finding says already is left to that."""
        found = self._parts(node, module, ())
        if found is None or ANY in found:
            raise NotUnderstood(f"{place}: `{ast.unparse(node)}`")
        return found

    def _parts(self, node: ast.expr, module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        """Return the templates of an expression; `None` if it is filled in when a rule judges."""
        if node in through or _is_taken_over(node):
            return frozenset()
        through = (*through, node)
        match node:
            case ast.Constant(value=(str() | None) as text):
                return frozenset() if text is None else frozenset({re.escape(text)})
            case ast.JoinedStr(values=values):
                return self._joined([_inner(each) for each in values], module, through)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return self._joined([left, right], module, through)
            case ast.IfExp(body=body, orelse=orelse):
                return self._any_of([body, orelse], module, through)
            case ast.BoolOp(op=ast.Or(), values=[*values, last]):  # an empty text is replaced by what comes after it
                first = self._any_of(values, module, through)
                return _together([first and first - {""}, self._parts(last, module, through)])
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(table := self._constant(name, module), ast.Dict):
                return self._any_of(table.values, module, through)
            case ast.Name(id=name):
                return self._of_name(name, node, module, through)
            case ast.Call():
                return self._of_call(node, None, module, through)
        return None

    def _joined(self, nodes: list[ast.expr], module: Module, through: tuple[ast.AST, ...]) -> Texts:
        found = [""]
        for node in nodes:
            parts = None if isinstance(node, ast.Call) else self._parts(node, module, through)
            choices = [ANY] if parts is None else sorted(parts) or [""]
            found = [before + each for before in found for each in choices]
        return frozenset(found)

    def _any_of(self, nodes: Iterable[ast.expr], module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        return _together([self._parts(node, module, through) for node in nodes])

    def _of_name(self, name: str, node: ast.AST, module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        function = module.function_around(node)
        bound = [] if function is None else list(bindings(name, function))
        if function is not None and not bound and name in (argument.arg for argument in arguments(function)):
            return self._of_parameter(name, function, module, through)
        if not bound and (constant := self._constant(name, module)) is not None:
            return self._parts(constant, module, through)
        return _together([self._element(value, at, module, through) for value, at in bound])

    def _element(self, node: ast.expr, at: int | None, module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        """Return the templates of an expression, or with `at` of that element of the tuples that it may be."""
        if at is None:
            return self._parts(node, module, through)
        if node in through:
            return frozenset()
        through = (*through, node)
        several: list[ast.expr] = []
        match node:
            case ast.Constant(value=None):
                return frozenset()
            case ast.Tuple(elts=elements):
                return self._parts(elements[at], module, through)
            case ast.IfExp(body=body, orelse=orelse):
                several = [body, orelse]
            case ast.BoolOp(op=ast.Or(), values=values):
                several = values
            case ast.Call():
                return self._of_call(node, at, module, through)
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(table := self._constant(name, module), ast.Dict):
                several = table.values
        return _together([self._element(each, at, module, through) for each in several])

    def _of_call(self, call: ast.Call, at: int | None, module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "join":
            return self._of_join(call, module, through)
        if name_of(call.func) == "next" and isinstance(call.args[0], ast.GeneratorExp):
            return self._parts(call.args[0].elt, module, through)
        found = list(self._defined(call, module))
        if not found:
            return None
        return _together([self._element(value, at, owner, through) for owner, each in found for value in results(each)])

    def _of_join(self, call: ast.Call, module: Module, through: tuple[ast.AST, ...]) -> Texts | None:
        """Return one template for several texts of a function, with the separator between them."""
        assert isinstance(call.func, ast.Attribute)
        mapped = [each for each in calls(call) if name_of(each.func) == "map" and isinstance(each.args[0], ast.Name)]
        if not mapped or not isinstance(call.func.value, ast.Constant):
            return None
        one = self._of_call(ast.Call(func=mapped[0].args[0], args=[], keywords=[]), None, module, through)
        if one is None:
            return None
        either = "|".join(sorted(one))
        return frozenset({f"(?:{either})(?:{re.escape(str(call.func.value.value))}(?:{either}))+"})

    def _of_parameter(
        self, name: str, function: ast.FunctionDef, module: Module, through: tuple[ast.AST, ...]
    ) -> Texts | None:
        """Return the templates that callers give for a parameter, and its default."""
        given = [(argument, module) for argument in default(name, function)]
        for caller, call in self._calls.get(function.name, ()):
            if any(each is function for _, each in self._defined(call, caller)):
                given += [(value, caller) for value in argument(name, function, call)]
        return _together([self._parts(value, owner, through) for value, owner in given])

    def _defined(self, call: ast.Call, module: Module) -> Iterator[tuple[Module, ast.FunctionDef]]:
        """Yield the functions of the code that a call may call."""
        name = name_of(call.func)
        owner = module
        if isinstance(call.func, ast.Name) and name in module.imports:
            source, name = module.imports[name]
            if source not in self.modules:
                return
            owner = self.modules[source]
        elif isinstance(call.func, ast.Attribute) and not (
            isinstance(call.func.value, ast.Name) and call.func.value.id == "self"
        ):
            return
        yield from ((owner, each) for each in owner.functions.get(name, ()))

    def _constant(self, name: str, module: Module) -> ast.expr | None:
        if name in module.constants:
            return module.constants[name]
        source, there = module.imports.get(name, ("", ""))
        return self.modules[source].constants.get(there) if source in self.modules else None


def _together(found: Iterable[Texts | None]) -> Texts | None:
    """Return all templates of several expressions; `None` if each of them is filled in when a rule judges."""
    several = list(found)
    if all(each is None for each in several):
        return None
    return frozenset(text for each in several for text in (each if each is not None else {ANY}))


def _given(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that are given as a fix."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and name_of(each.func) in TAKERS:
            yield from (keyword.value for keyword in each.keywords if keyword.arg == "fix")
        if isinstance(each, ast.Dict):
            yield from (
                value
                for key, value in zip(each.keys, each.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "fix"
            )


def _inner(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.FormattedValue) else node


def _is_taken_over(node: ast.expr) -> bool:
    """Whether an expression is the fix of something else: `error.fix`, or `measured.get("fix")` of a measurement."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return isinstance(node.args[0], ast.Constant) and node.args[0].value == "fix"
    return isinstance(node, ast.Attribute) and node.attr == "fix"
