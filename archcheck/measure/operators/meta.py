"""Builds a subject without memory: on torch's meta device, a tensor has a shape and a dtype, and no numbers.

A network of seventy billion parameters is built in a second, and measured by shapes alone. Without numbers, no real
forward pass confirms the shapes, no probe runs, and no checkpoint is tried. Numbers in the code itself, such as a
schedule of rates from `torch.linspace`, are real, and so are small results that are computed from them.
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

from archcheck.facts.option_words import META_WORDS
from archcheck.foundation.errors import SubjectError, described
from archcheck.measure.operators.computation import SMALL, on_meta
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
"""Functions whose results have numbers from the code itself."""

_ATEN = torch.ops.aten
_SIZED = frozenset({_ATEN.zeros.default, _ATEN.ones.default, _ATEN.rand.default, _ATEN.randn.default})
"""Operators that make a tensor of a given size. Without numbers, each equals an empty tensor."""


@contextmanager
def without_memory() -> Iterator[None]:
    """Create tensors in the block without numbers, unless the code names a device or gives their numbers."""
    with _OnMeta(), _Outsides():  # type: ignore[no-untyped-call]
        yield


def is_without_memory(tensors: Iterable[torch.Tensor | None]) -> bool:
    """Whether any of these tensors has no numbers."""
    return any(tensor is not None and tensor.device.type == "meta" for tensor in tensors)


def to_meta(value: Any) -> Any:
    """Return `value` with all its tensors, at any depth, on the meta device."""
    return map_tensors(meta_of, value)


def needs_numbers(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that a tensor on the meta device has no numbers."""
    while error is not None:
        if isinstance(error, RuntimeError | TypeError | ValueError) and _META.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


_META = re.compile(r"\bmeta\b|unallocated storage", re.IGNORECASE)


def refused(target: str, place: str, error: BaseException) -> SubjectError:
    """Return the error of a subject that reads numbers in its constructor."""
    return SubjectError(
        "construct",
        f"`{target}` needs real numbers to be built{place}, and without memory it has none: leave {META_WORDS} out "
        f"({described(error)})",
    )


class _OnMeta(TorchFunctionMode):
    """Makes functions create meta tensors, like `with torch.device("meta")`, except for numbers from the code."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run one function of torch."""
        kwargs = kwargs or {}
        if func in _device_constructors() and func not in _SPELLED and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": META}
        if args and torch.nn.parameter.is_lazy(args[0]):
            # A lazy tensor would turn the result into its own class, which some releases cannot do twice.
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _Outsides(Dispatch):  # type: ignore[no-untyped-call]
    """Computes operations on meta tensors, by shape rules if there are any, and skips initialisation.

    Torch's own kernels for meta tensors are written in Python, and the first use imports a compiler.
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
        if not is_without_memory(tensors) and (operator.mutates or operator.makes_views or _at_most(tensors) <= SMALL):
            return func(*args, **kwargs)
        if operator.writes_first and tensors[0].device.type == "meta":
            return args[0]  # there is no memory to write to
        args, kwargs = to_meta(args), on_meta(to_meta(kwargs))
        result = _by_rule(operator, args, kwargs)
        return func(*args, **kwargs) if result is None else result


def _at_most(tensors: Sequence[torch.Tensor]) -> int:
    """Return the most elements that the result of an operation can have if it repeats none."""
    try:
        return math.prod(broadcast(*(tensor.shape for tensor in tensors)))
    except RuntimeError:  # matrices
        return math.prod(tensor.numel() for tensor in tensors)


def _by_rule(operator: Operator, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    rule = None if operator.mutates else RULES.get(operator.name)
    return rule(bind(operator.func, args, kwargs)) if rule else None
