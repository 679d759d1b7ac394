"""Relaxes two limits for a measured pass: calls may nest deeper, and a single value per channel is no error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deep() -> Iterator[None]:
    """Let calls nest twice as deep as usual, for the call of a layer takes more frames while it is watched."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def any_batch() -> Iterator[None]:
    """Let BatchNorm take a single value a channel in training.

    Torch refuses it because a variance of one value means nothing; here no value means anything, and an example
    of one image is what people give.
    """
    check = getattr(torch.nn.functional, "_verify_batch_size", None)
    if check is None:
        yield
        return
    torch.nn.functional._verify_batch_size = lambda size: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.nn.functional._verify_batch_size = check  # type: ignore[attr-defined]
