"""Operation counts by the convention of published model tables, which is that of fvcore.

One fused multiply-add counts one, as in `cost`; on top of that come the elementwise operations that fvcore
0.1.5 counts: 2 per element for BatchNorm in evaluation with scale and shift (1 without), 5 per element for the
norms that compute their statistics (4 without scale and shift), 1 per input element for adaptive pooling to a
fixed size, 1 or 4 per output element for nearest or bilinear upsampling, 4 for sampling on a grid.
Operations with products that fvcore counts as nothing (attention, recurrent layers) count here; products that are
spelled by elementwise operations do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from archcheck.measure.shapes.arguments import Call

# Below autograd, where code that differentiates in its forward pass is measured, the names are those of the kernels.
_EXTRA: dict[str, Callable[[Call, torch.Tensor], int]] = {
    "batch_norm": lambda call, out: _batch_norm(call),
    "native_batch_norm": lambda call, out: _batch_norm(call),
    "layer_norm": lambda call, out: _norm(call),
    "native_layer_norm": lambda call, out: _norm(call),
    "group_norm": lambda call, out: _norm(call),
    "native_group_norm": lambda call, out: _norm(call),
    "instance_norm": lambda call, out: _norm(call),
    "adaptive_avg_pool2d": lambda call, out: int(call["self"].numel()),
    "_adaptive_avg_pool2d": lambda call, out: int(call["self"].numel()),
    "upsample_nearest2d": lambda call, out: out.numel(),
    "upsample_bilinear2d": lambda call, out: 4 * out.numel(),
}

_SAMPLED = frozenset({"grid_sampler", "grid_sampler_2d", "grid_sampler_3d"})
"""Operators that fvcore gives one count, however many neighbours they take."""


def published_flops(name: str, call: Call, outputs: Sequence[torch.Tensor], macs: int) -> int:
    """Return the count of one call, given its multiply-accumulates."""
    if name in _SAMPLED and outputs:
        return 4 * outputs[0].numel()
    extra = _EXTRA.get(name)
    return macs if extra is None or not outputs else macs + extra(call, outputs[0])


def _batch_norm(call: Call) -> int:
    if call["training"]:
        return _norm(call)
    return int(call["input"].numel()) * (1 if call["weight"] is None else 2)


def _norm(call: Call) -> int:
    return int(call["input"].numel()) * (4 if call["weight"] is None else 5)
