"""The properties of an operator by torch's schema, looked up once."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from archcheck.measure.operators.kinds import is_known
from archcheck.measure.shapes.arguments import op_name
from archcheck.measure.shapes.operator_shapes import RULES
from archcheck.measure.shapes.unknown_sizes import BOUNDS
from archcheck.measure.subject.ownership import is_own

VALUES = frozenset({"item", "_local_scalar_dense", "is_nonzero", "equal", "allclose"})
"""Operators that return a value to Python."""

_BY_VALUE = VALUES | {"_pack_padded_sequence", "_pad_packed_sequence"}

_RESHAPING = frozenset({
    "resize_", "t_", "transpose_", "squeeze_", "unsqueeze_", "set_", "resize_as_", "as_strided_", "swapaxes_",
    "swapdims_",
})  # fmt: skip
"""Operators that change the shape or strides of their first operand in place."""


class Operator:
    """One overload: `name`; whether it `mutates`, `writes_first`, `makes_views`, or must be decomposed (`inside`).

    `by_shape` says that its result follows from the shapes of its operands and its other arguments. `written` are the
    names of the arguments that it writes to. `body` is the subject's function, if the subject registered the operator.
    `values` are the names of arguments that may be numbers of Python. `draws` says that it uses a random generator.
    """

    def __init__(self, func: Any) -> None:
        schema = func._schema
        self.func = func
        self.name = op_name(func)
        self.mutates = bool(schema.is_mutable)
        self.returns = len(schema.returns)
        self.makes_views = any(value.alias_info is not None for value in schema.returns)
        self.writes_first = self.mutates and self.name not in _RESHAPING and _writes_first(schema)
        self.written = tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write)
        self.by_shape = self.name not in _BY_VALUE and (self.writes_first or not self.mutates)
        known = self.name in RULES or self.name in BOUNDS or is_known(self.name, func)
        self.inside = not known and _decomposes(func)
        self.body = _body(func)
        self.draws = torch.Tag.nondeterministic_seeded in func.tags
        self.values = tuple(a.name for a in schema.arguments if _takes_numbers(a)) if self.name not in RANGES else ()


RANGES = frozenset({"arange", "range"})
"""Factories whose numbers are bounds and steps."""

_SETTINGS = frozenset({"momentum", "rounding_mode", "keep_prob"})
"""Arguments that are numbers and influence no result in evaluation."""


def _takes_numbers(argument: Any) -> bool:
    """Whether an argument is a number that influences the result, and not a size, an axis or a choice."""
    kind = str(argument.type)
    numbers = "number" in kind or "float" in kind or "Scalar" in kind or "complex" in kind or "Tensor" in kind
    return (numbers and argument.name not in _SETTINGS) or argument.name == "divisor_override"


def _body(func: Any) -> Callable[..., Any] | None:
    """Return the function behind an operator that the subject registered in Python, else `None`."""
    registered = "torch._library.custom_ops" in sys.modules and torch._library.custom_ops.OPDEFS.get(func._schema.name)
    body: Callable[..., Any] | None = registered._init_fn if registered else None
    return body if body is not None and _is_of_subject(body) else None


def _is_of_subject(body: Any) -> bool:
    """Whether the code of a callable is in a file of the subject: a function, a partial, or an object."""
    body = inspect.unwrap(body)
    while isinstance(body, partial):
        body = inspect.unwrap(body.func)
    code = getattr(body, "__code__", None) or getattr(type(body).__call__, "__code__", None)
    return code is not None and is_own(code.co_filename)


def _writes_first(schema: Any) -> bool:
    first = schema.arguments[0] if schema.arguments else None
    alias = None if first is None else first.alias_info
    return alias is not None and alias.is_write and len(schema.returns) == 1


def _decomposes(func: Any) -> bool:
    """Whether torch has a decomposition of the operator, which `OpOverload.decompose` runs."""
    key, name = torch._C.DispatchKey.CompositeImplicitAutograd, func.name()
    if key in func.py_kernels:
        return True
    # Methods of Python such as `Tensor.dim` are overloads, too, but not for the dispatcher.
    return torch._C._dispatch_has_kernel(name) and torch._C._dispatch_has_kernel_for_dispatch_key(name, key)


_operators: dict[int, Operator] = {}


def operator_of(func: torch._ops.OpOverload) -> Operator:
    """Return the properties of an overload. Torch keeps one object per overload in a process."""
    known = _operators.get(id(func))
    if known is None or known.func is not func:
        known = _operators[id(func)] = Operator(func)
    return known
