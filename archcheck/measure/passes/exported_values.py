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

_METHODS = ("tolist", "numpy", "__array__")
_inside = [False]
"""Whether one of the methods runs: it may call another."""

See = Callable[[torch.Tensor, FrameType, Any], None]


@contextmanager
def watched(see: See) -> Iterator[None]:
    """Call `see` for each tensor whose numbers leave torch in the block: the tensor, the caller's frame, these."""
    methods = [(name, getattr(torch.Tensor, name), name in vars(torch.Tensor)) for name in _METHODS]
    try:
        for name, method, _ in methods:
            setattr(torch.Tensor, name, _seen(method, see))
        yield
    finally:
        for name, method, own in methods:
            if own:
                setattr(torch.Tensor, name, method)
            else:
                delattr(torch.Tensor, name)


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
