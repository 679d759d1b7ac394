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
from collections.abc import Mapping
from typing import Any

from archcheck.foundation.formulas import Grammar
from archcheck.foundation.words import listed, quote

Stated = int | str
"""A cost as a contract states it."""
Sizes = Mapping[str, tuple[int, ...]]
"""The shapes of a call's tensors by name."""

RESULT = "out"
"""What formulas call the first result."""

_NAME = re.compile(r"[A-Za-z_]\w*::[A-Za-z_]\w*", re.ASCII)
_TORCHS = ("aten", "prims")
_MOST = 2**63


def check_operator(name: str) -> None:
    """Raise `ValueError` unless this may name an operator of the subject's own."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'{quote(name)} names no operator; write its namespace and name, such as "mylib::scan"')
    if name.partition("::")[0] in _TORCHS:
        raise ValueError(f"{quote(name)} is an operator of torch; costs are stated for operators of one's own")


def check_cost(stated: Any) -> None:
    """Raise `ValueError` unless this is a number of multiply-accumulates, or a formula for it."""
    if isinstance(stated, str):
        _GRAMMAR.read(stated)
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
        found = _GRAMMAR.value(_GRAMMAR.parsed(stated), lambda name: _size(name, sizes))
    except ZeroDivisionError:
        raise ValueError("divides by zero") from None
    if found < 0:
        raise ValueError(f"comes out as {found:,}, which is negative")
    return found


def _whole(number: int | float) -> int:
    if not isinstance(number, int):
        raise TypeError("a number with a fraction")
    if number >= _MOST:
        raise ValueError("holds a number of 2**63 or more")
    return number


def _is_size(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(), attr="numel"):
            return True
        case ast.Subscript(value=ast.Attribute(value=ast.Name(), attr="shape"), slice=axis):
            return _axis(axis) is not None
    return False


def _axis(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
    return None


def _size(node: ast.expr, sizes: Sizes) -> int:
    """Return what `x.numel` or `x.shape[i]` is in a call."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)):
            return math.prod(_shape(name, sizes))
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name)), slice=place):
            shape, axis = _shape(name, sizes), _axis(place)
            assert axis is not None
            if not -len(shape) <= axis < len(shape):
                raise ValueError(f"reads axis {axis} of {quote(name)}, which has {len(shape)}")
            return shape[axis]
    raise AssertionError(ast.dump(node))  # what `_is_size` lets through is one of these


def _shape(name: str, sizes: Sizes) -> tuple[int, ...]:
    if name not in sizes:
        raise ValueError(f"reads {quote(name)}, which is not a tensor of the call; it has {listed(sizes)}")
    return sizes[name]


_GRAMMAR: Grammar[int] = Grammar(
    allowed="write whole numbers, `x.numel` and `x.shape[i]` of an argument or of `out`, + - * // and brackets",
    is_name=_is_size,
    number=_whole,
    operators={
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    },
)  # fmt: skip
