"""Find dtypes by name, because newer releases of torch have more of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch

Key = TypeVar("Key")


def installed(names: Mapping[Key, str]) -> dict[Key, torch.dtype]:
    """Return the dtypes with these names that the installed torch has, by their keys."""
    return {key: dtype for key, name in names.items() if isinstance(dtype := getattr(torch, name, None), torch.dtype)}


def missing(name: str) -> str:
    """Return a description of a dtype that only a newer torch has."""
    return f"the dtype {name}, which torch {torch.__version__} does not have"
