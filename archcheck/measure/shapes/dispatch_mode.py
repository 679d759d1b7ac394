"""The base class of dispatch modes that see every operation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ASKS_MODES = hasattr(TorchDispatchMode, "supports_higher_order_operators")
"""Whether torch passes operators that take functions to modes with this attribute; older releases register them."""

_registered: set[tuple[str, type]] = set()


class Dispatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that torch calls for every operation, and that does not load the compiler.

    It is also called for operators that take functions (`torch.cond`), which are no `OpOverload` and have no schema.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # A private hook of torch: without it the first dispatch imports the compiler (about 1.5 s).
        return False

    def __enter__(self) -> Any:
        """Enter the mode; older releases of torch need its operators registered first."""
        if not _ASKS_MODES:
            _register(type(self))
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run an operation by `run`, or an operator that takes functions by `higher_order`."""
        run = self.run if isinstance(func, torch._ops.OpOverload) else self.higher_order
        return run(func, args, kwargs or {})

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation."""
        return func(*args, **kwargs)

    def higher_order(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operator that takes functions: the branch of `cond` inside the mode, any other as one operation."""
        if str(func.name()) != "cond":
            return func(*args, **kwargs)
        predicate, first, second, operands = args
        with self:
            return (first if predicate else second)(*operands)


def _register(mode: type[Dispatch]) -> None:
    """Make torch pass every operator that takes functions to modes of this class."""
    for name, operator in torch._ops._higher_order_ops.items():
        if (name, mode) not in _registered:
            _registered.add((name, mode))
            operator.py_impl(mode)(partial(_asked, operator))


def _asked(operator: Any, mode: Dispatch, *args: Any, **kwargs: Any) -> Any:
    return mode.__torch_dispatch__(operator, (), args, kwargs)
