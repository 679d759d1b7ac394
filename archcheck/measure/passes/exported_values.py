"""Watches tensors whose numbers leave torch as a whole: `tolist`, `numpy`.

Torch dispatches no operation for these, so the methods of `torch.Tensor` are wrapped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from archcheck.measure.passes.replaced_attributes import replaced

_METHODS = ("tolist", "numpy", "__array__")
_inside = [False]
"""Whether one of the methods runs: it may call another."""

See = Callable[[torch.Tensor, FrameType, Any], None]


@contextmanager
def watched(see: See) -> Iterator[None]:
    """Call `see` for each tensor whose numbers leave torch in the block: the tensor, the caller's frame, these."""
    with replaced(torch.Tensor, {name: _seen(getattr(torch.Tensor, name), see) for name in _METHODS}):
        yield


def _seen(method: Any, see: See) -> Callable[..., Any]:
    def taken(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        before, _inside[0] = _inside[0], True
        try:
            numbers = method(tensor, *args, **kwargs)
        finally:
            _inside[0] = before
        if not before:
            see(tensor, sys._getframe(1), numbers)
        return numbers

    return taken
