"""Multiply-accumulates of attention: every query times every key, and every score times every value, masked or not."""

from __future__ import annotations

import math

import torch

from archcheck.measure.operators.numerical_cost import Formula
from archcheck.measure.shapes.arguments import Call

_KERNELS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
"""Kernels with heads before positions: `(N, H, L, E)`."""
_BY_POSITION = ("_flash_attention_forward", "_efficient_attention_forward")
"""Kernels with positions before heads: `(N, L, H, E)`."""


def attention_scores(call: Call, out: torch.Tensor) -> int:
    """Return the number of elements of the scores `(…, L, S)` of an attention whose output is `(…, L, Ev)`."""
    return math.prod(map(int, out.shape[:-1])) * int(call["key"].shape[-2])


def _attention(call: Call, out: torch.Tensor) -> int:
    return attention_scores(call, out) * int(call["query"].shape[-1] + call["value"].shape[-1])


def _attention_by_position(call: Call, out: torch.Tensor) -> int:
    scores = math.prod(map(int, out.shape[:-1])) * int(call["key"].shape[-3])
    return scores * int(call["query"].shape[-1] + call["value"].shape[-1])


def _attention_backward(call: Call, out: torch.Tensor) -> int:
    # The scores again, and the gradients of the scores, the values, the queries and the keys.
    scores = attention_scores(call, call["out"])
    return scores * int(3 * call["query"].shape[-1] + 2 * call["value"].shape[-1])


ATTENTION: dict[str, Formula] = {
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(_KERNELS, _attention),
    **dict.fromkeys(_BY_POSITION, _attention_by_position),
    **{f"{kernel}_backward": _attention_backward for kernel in _KERNELS},
}
"""Torch's operator name -> its multiply-accumulates, from the arguments by name and the first result."""
