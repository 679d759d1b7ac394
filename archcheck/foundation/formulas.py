"""Formulas of numbers and names, as contracts state them: read with Python's grammar, and never run as Python.

A `Grammar` says what a formula may contain, and computes it. The names in it are expressions, such as `x.shape[0]` or
`params.total`, to which the caller gives values.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from archcheck.foundation.words import did_you_mean, quote

LONGEST, DEEPEST = 1_000, 200
"""Characters and levels of a formula at most. A sum of many numbers has a level for each."""

N = TypeVar("N")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar(Generic[N]):
    """What formulas may contain, and how it is computed with numbers of the type `N`.

    `is_name` says whether an expression names a value. `number` reads a number; it raises `ValueError` for one that is
    not allowed. `allowed` is the advice to who writes anything else.
    """

    allowed: str
    is_name: Callable[[ast.expr], bool]
    number: Callable[[int | float], N]
    operators: Mapping[type[ast.operator | ast.unaryop], Callable[..., N]]
    functions: Mapping[str, Callable[..., N]] = field(default_factory=dict)

    def read(self, text: str) -> ast.expr:
        """Return the expression of a formula. Raises `ValueError` if it contains what it may not."""
        node = self.parsed(text)
        self._check(node)
        return node

    def parsed(self, text: str) -> ast.expr:
        """Return the expression of a formula, whatever it contains. Raises `ValueError` if it is none."""
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST:,} characters")
        try:
            node = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"is not a formula: {quote(text)}; {self.allowed}") from None
        level = [node]
        for _ in range(DEEPEST):
            level = [part for each in level for part in _parts(each)]
        if level:
            raise ValueError(f"has more than {DEEPEST} levels of signs, brackets and terms")
        return node

    def names(self, node: ast.expr) -> Iterator[ast.expr]:
        """Yield the expressions that name values, in their order."""
        if self.is_name(node):
            yield node
            return
        for part in _parts(node):
            yield from self.names(part)

    def value(self, node: ast.expr, look_up: Callable[[ast.expr], N]) -> N:
        """Return the value of a formula. `look_up` gives the value of a name."""
        if self.is_name(node):
            return look_up(node)
        values = [self.value(part, look_up) for part in _parts(node)]
        match node:
            case ast.Constant(value=int() | float() as number):
                return self.number(number)
            case ast.BinOp() | ast.UnaryOp():
                return self.operators[type(node.op)](*values)
            case ast.Call(func=ast.Name(id=name)):
                return self.functions[name](*values)
        raise ValueError(f"holds {quote(ast.unparse(node))}; {self.allowed}")

    def _check(self, node: ast.expr) -> None:
        match node:
            case _ if self.is_name(node):
                return
            case ast.BinOp() | ast.UnaryOp() if type(node.op) in self.operators:
                pass
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                self._check_number(number, node)
            case ast.Call(func=ast.Name(id=name), args=[_, *_], keywords=[]) if self.functions:
                if name not in self.functions:
                    known = did_you_mean(name, self.functions, self.allowed)
                    raise ValueError(f"calls {quote(name)}, which is not a function here{known}")
            case _:
                raise ValueError(f"holds {quote(ast.unparse(node))}; {self.allowed}")
        for part in _parts(node):
            self._check(part)

    def _check_number(self, number: int | float, node: ast.expr) -> None:
        try:
            self.number(number)
        except TypeError:
            raise ValueError(f"holds {quote(ast.unparse(node))}; {self.allowed}") from None


def _parts(node: ast.expr) -> list[Any]:
    """Return the expressions that an expression is made of."""
    match node:
        case ast.BinOp():
            return [node.left, node.right]
        case ast.UnaryOp():
            return [node.operand]
        case ast.Call():
            return node.args
    return []
