"""Runs the taken branch of `torch.cond` like other code in `forward` while a network is measured.

Without a compiler, torch runs the branch below autograd and differentiates its own trace of the branch. Parameters that
the branch reads from outside get no gradient there, although they get one in a compiled network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from archcheck.measure.shapes.dispatch_mode import Dispatch

_AUTOGRAD = torch._C.DispatchKey.Autograd


@contextmanager
def plain_branches() -> Iterator[None]:
    """Let `torch.cond` call the taken branch directly, with gradients if they are enabled."""
    cond = torch._ops._higher_order_ops.get("cond")
    kernels, known = getattr(cond, "py_kernels", None), getattr(cond, "_dispatch_cache", None)
    if kernels is None or known is None or _AUTOGRAD not in kernels:
        yield
        return
    torchs = kernels[_AUTOGRAD]
    kernels[_AUTOGRAD] = partial(_taken, torchs)
    known.clear()
    try:
        yield
    finally:
        kernels[_AUTOGRAD] = torchs
        known.clear()


def _taken(
    torchs: Callable[..., Any],
    predicate: Any,
    first: Callable[..., Any],
    second: Callable[..., Any],
    operands: Sequence[Any],
) -> Any:
    mode = _get_current_dispatch_mode()
    if mode is None or isinstance(mode, Dispatch):
        return (first if predicate else second)(*operands)
    return torchs(predicate, first, second, operands)  # an exporter traces both branches
