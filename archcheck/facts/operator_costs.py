"""The cost of a subject's own operators, as a contract gives it: a number, or a formula over the sizes of a call.

A formula adds, subtracts, multiplies and divides (`//`) whole numbers, `x.numel` and `x.shape[-1]`. Here `x` is a
tensor argument by its name in the schema of the operator, or `out`, its first result: `"2 * x.numel *
weight.shape[0]"`. The result is the multiply-accumulates of one call.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from archcheck.foundation.words import listed, quote

Stated = int | str
"""A cost as a contract states it."""
Sizes = Mapping[str, tuple[int, ...]]
"""The shapes of a call's tensors by name."""

RESULT = "out"
"""What formulas call the first result."""

_NAME = re.compile(r"[A-Za-z_]\w*::[A-Za-z_]\w*", re.ASCII)
_TORCHS = ("aten", "prims")
_LONGEST = 1_000
_MOST = 2**63
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
_ALLOWED = "write whole numbers, `x.numel` and `x.shape[i]` of an argument or of `out`, + - * // and brackets"


def check_operator(name: str) -> None:
    """Raise `ValueError` unless this may name an operator of the subject's own."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'{quote(name)} names no operator; write its namespace and name, such as "mylib::scan"')
    if name.partition("::")[0] in _TORCHS:
        raise ValueError(f"{quote(name)} is an operator of torch; costs are stated for operators of one's own")


def check_cost(stated: Any) -> None:
    """Raise `ValueError` unless this is a number of multiply-accumulates, or a formula for it."""
    if isinstance(stated, str):
        _check(_parsed(stated))
    elif type(stated) is not int:
        raise ValueError('must be a whole number or a formula such as "x.numel * 16"')
    elif not 0 <= stated < _MOST:
        raise ValueError(f"must be at least 0 and below 2**63, found {stated if abs(stated) < _MOST else 'more'}")


def macs_of(stated: Stated, sizes: Sizes) -> int:
    """Return the multiply-accumulates of one call, whose tensors have these `sizes`.

    Raises:
        ValueError: the formula names what the call does not have, divides by zero, or comes out negative.
    """
    if isinstance(stated, int):
        return stated
    try:
        found = _value(_parsed(stated), sizes)
    except ZeroDivisionError:
        raise ValueError("divides by zero") from None
    if found < 0:
        raise ValueError(f"comes out as {found:,}, which is negative")
    return found


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST:,} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"is not a formula: {quote(text)}; {_ALLOWED}") from None


def _check(node: ast.expr) -> None:
    """Raise `ValueError` for an expression that a formula may not contain."""
    match node:
        case ast.BinOp() if type(node.op) in _OPERATIONS:
            _check(node.left)
            _check(node.right)
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            if number >= _MOST:
                raise ValueError("holds a number of 2**63 or more")
        case ast.Attribute(value=ast.Name(), attr="numel"):
            pass
        case ast.Subscript(value=ast.Attribute(value=ast.Name(), attr="shape"), slice=axis) if _axis(axis) is not None:
            pass
        case _:
            raise ValueError(f"holds {quote(ast.unparse(node))}; {_ALLOWED}")


def _axis(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
    return None


def _value(node: ast.expr, sizes: Sizes) -> int:
    match node:
        case ast.BinOp():
            return _OPERATIONS[type(node.op)](_value(node.left, sizes), _value(node.right, sizes))
        case ast.Constant(value=int() as number):
            return number
        case ast.Attribute(value=ast.Name(id=name)):
            return math.prod(_shape(name, sizes))
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name)), slice=place):
            shape, axis = _shape(name, sizes), _axis(place)
            assert axis is not None
            if not -len(shape) <= axis < len(shape):
                raise ValueError(f"reads axis {axis} of {quote(name)}, which has {len(shape)}")
            return shape[axis]
    raise ValueError(f"holds {quote(ast.unparse(node))}; {_ALLOWED}")


def _shape(name: str, sizes: Sizes) -> tuple[int, ...]:
    if name not in sizes:
        raise ValueError(f"reads {quote(name)}, which is not a tensor of the call; it has {listed(sizes)}")
    return sizes[name]
