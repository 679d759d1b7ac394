"""Builds a subject without memory: on torch's meta device a tensor has a shape and a dtype, and no numbers.

A network of seventy billion parameters is built in a second that way, and measured by shapes alone. What needs numbers
cannot be done with it: no real forward pass confirms the shapes, no probe runs, no checkpoint is tried. Numbers that
the code itself spells, such as a schedule of rates from `torch.linspace`, are real, and so is what little is computed
from them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from archcheck.facts.records import META_WORDS
from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.operators.schema import Operator, operator_of
from archcheck.measure.shapes.arguments import bind
from archcheck.measure.shapes.containers import map_tensors, tensors_in
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.shapes.operator_shapes import RULES, broadcast
from archcheck.measure.shapes.tensor import META, meta_of

_SPELLED = frozenset(
    {torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor}
    | {torch.arange, torch.linspace, torch.logspace, torch.range}
)
"""Functions whose result has numbers that the code spells."""

_ATEN = torch.ops.aten
_SIZED = frozenset({_ATEN.zeros.default, _ATEN.ones.default, _ATEN.rand.default, _ATEN.randn.default})
"""Operators that make a tensor of a size: without numbers, each is an empty one."""

_SMALL = 1 << 20
"""Elements up to which results of real tensors are real, too."""


@contextmanager
def without_memory() -> Iterator[None]:
    """Let tensors that are made inside have no numbers, unless they name a device or the code spells their numbers."""
    with _OnMeta(), _Outsides():  # type: ignore[no-untyped-call]
        yield


def is_without_memory(tensors: Iterable[torch.Tensor | None]) -> bool:
    """Whether any of these tensors has no numbers."""
    return any(tensor is not None and tensor.device.type == "meta" for tensor in tensors)


def to_meta(value: Any) -> Any:
    """Return `value` with its tensors, however they are nested, on the meta device."""
    return map_tensors(meta_of, value)


def needs_numbers(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is torch's refusal to give the numbers of a tensor that has none."""
    while error is not None:
        if isinstance(error, RuntimeError | TypeError | ValueError) and _META.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


_META = re.compile(r"\bmeta\b|unallocated storage", re.IGNORECASE)


def refused(target: str, place: str, error: BaseException) -> SubjectError:
    """Return the error of a subject that looks at numbers while it is built."""
    return SubjectError(
        "construct",
        f"`{target}` needs real numbers to be built{place}, and without memory it has none: leave {META_WORDS} out "
        f"({described(error)})",
    )


class _OnMeta(TorchFunctionMode):
    """Has functions make meta tensors, as `with torch.device("meta")` does, but for numbers that the code spells."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one function of torch."""
        kwargs = kwargs or {}
        if func in _device_constructors() and func not in _SPELLED and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": META}
        if args and torch.nn.parameter.is_lazy(args[0]):
            # A lazy tensor would make what it answers one of its own class, which some releases cannot do twice.
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _Outsides(Dispatch):  # type: ignore[no-untyped-call]
    """Computes what operations on meta tensors give, by shape rules where there are any, and skips initialisation.

    Torch's own kernels for meta tensors are written in Python, and the first of them imports a compiler.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Compute one operation of a constructor."""
        kwargs = kwargs or {}
        tensors = list(tensors_in((args, kwargs)))
        if func in _SIZED and kwargs.get("device") == META:
            return _ATEN.empty.memory_format(*args, **kwargs)
        if not tensors or not isinstance(func, torch._ops.OpOverload):
            return func(*args, **kwargs)
        operator = operator_of(func)
        if not is_without_memory(tensors) and (operator.mutates or operator.makes_views or _at_most(tensors) <= _SMALL):
            return func(*args, **kwargs)
        if operator.writes_first and tensors[0].device.type == "meta":
            return args[0]  # whatever is written, there is nowhere to write it
        args, kwargs = to_meta(args), _staying(to_meta(kwargs))
        result = _by_rule(operator, args, kwargs)
        return func(*args, **kwargs) if result is None else result


def _at_most(tensors: Sequence[torch.Tensor]) -> int:
    """Return how many elements the result of an operation has at most, of those that do not repeat."""
    try:
        return math.prod(broadcast(*(tensor.shape for tensor in tensors)))
    except RuntimeError:  # matrices
        return math.prod(tensor.numel() for tensor in tensors)


def _by_rule(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    rule = None if operator.mutates else RULES.get(operator.name)
    return rule(bind(operator.func, args, kwargs)) if rule else None


def _staying(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without the device that a tensor is to be moved to: what has no numbers stays where it is."""
    return {name: META if isinstance(value, torch.device) else value for name, value in kwargs.items()}
