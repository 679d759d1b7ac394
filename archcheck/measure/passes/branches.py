"""`torch.cond` while a network is measured: the branch that is taken runs as code in `forward` does.

Outside of a compiler torch runs the branch below autograd, and differentiates what it traces of it alone: parameters
that a branch reads from its surroundings get no gradient then, which they do where the network is compiled.
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
    """Let `torch.cond` call the branch that is taken, with gradients where they are asked for."""
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
