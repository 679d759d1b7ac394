"""Operation counts by the convention of published model tables and of fvcore.

A fused multiply-add counts one, as in `cost`. The elementwise operations that fvcore 0.1.5 counts are added: 2 per
element for BatchNorm in evaluation with scale and shift (1 without), 5 per element for norms that compute their
statistics (4 without scale and shift), 1 per input element for adaptive pooling to a fixed size, 1 or 4 per output
element for nearest or bilinear upsampling, 4 for sampling on a grid. Attention and recurrent layers count here, but not
in fvcore. Products that are written as elementwise operations do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from archcheck.measure.shapes.arguments import Call


def _batch_norm(call: Call, out: torch.Tensor) -> int:
    if call["training"]:
        return _norm(call, out)
    return int(call["input"].numel()) * (1 if call["weight"] is None else 2)


def _norm(call: Call, out: torch.Tensor) -> int:
    return int(call["input"].numel()) * (4 if call["weight"] is None else 5)


# Code that differentiates in its forward pass is measured below autograd, where operators have the names of kernels.
_EXTRA: dict[str, Callable[[Call, torch.Tensor], int]] = {
    **dict.fromkeys(("batch_norm", "native_batch_norm"), _batch_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm"), _norm),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), lambda call, out: int(call["self"].numel())),
    "upsample_nearest2d": lambda call, out: out.numel(),
    "upsample_bilinear2d": lambda call, out: 4 * out.numel(),
}

_SAMPLED = frozenset({"grid_sampler", "grid_sampler_2d", "grid_sampler_3d"})
"""Operators that fvcore counts 4 for each element of the result, whatever the number of neighbours."""


def published_flops(name: str, call: Call, outputs: Sequence[torch.Tensor], macs: int) -> int:
    """Return the count of one call whose multiply-accumulates are `macs`."""
    if name in _SAMPLED and outputs:
        return 4 * outputs[0].numel()
    extra = _EXTRA.get(name)
    return macs if extra is None or not outputs else macs + extra(call, outputs[0])
