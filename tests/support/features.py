"""What the tests ask of the installed torch: not every supported release has every function of the newest."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch.nn import functional as F

GROUPED_QUERIES = "enable_gqa" in str(torch.ops.aten.scaled_dot_product_attention.default._schema)
"""Attention whose heads share keys and values in groups."""

GROUPED_PRODUCTS = hasattr(F, "grouped_mm")

FLEX_ATTENTION = importlib.util.find_spec("torch.nn.attention.flex_attention") is not None


def needs(feature: bool, name: str) -> pytest.MarkDecorator:
    """Skip a test of what the installed torch does not have, and name it."""
    return pytest.mark.skipif(not feature, reason=f"torch {torch.__version__} has no {name}")
