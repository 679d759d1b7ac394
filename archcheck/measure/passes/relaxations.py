"""Relaxes two limits for a measured pass: the depth of calls, and BatchNorm's need of several values per channel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archcheck.measure.passes.replaced_attributes import replaced


@contextmanager
def deep() -> Iterator[None]:
    """Double the recursion limit, because the call of a watched layer takes more frames."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def any_batch() -> Iterator[None]:
    """Let BatchNorm accept a single value per channel in training.

    Torch refuses it because one value has no variance. Here values do not matter, and users give examples of one image.
    """
    with replaced(torch.nn.functional, {"_verify_batch_size": lambda size: None}):
        yield
