"""Dtypes by name: which of them exist depends on the release of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch

Key = TypeVar("Key")


def installed(names: Mapping[Key, str]) -> dict[Key, torch.dtype]:
    """Return the dtypes of these names that the installed torch has, by their keys."""
    return {key: dtype for key, name in names.items() if isinstance(dtype := getattr(torch, name, None), torch.dtype)}


def missing(name: str) -> str:
    """Return the words for a dtype that a later torch has."""
    return f"the dtype {name}, which torch {torch.__version__} does not have"
