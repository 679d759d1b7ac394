"""The functions that the graph of an exported program may name. All other names are refused.

These are torch's operators on tensors for which its dispatcher has a kernel, and plain arithmetic on sizes. Torch's own
reader of archives follows any dotted name below `torch`, also to functions that run code, load libraries and write
files.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

_OPERATOR = re.compile(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)", re.ASCII)

_REFUSED = re.compile(r"from_file(_out)?|set_?|record_stream|.*backward.*")
"""Operators that map files or take a storage, and gradients, which no exported forward pass contains."""

_INNER = re.compile(
    r"__\w+__|_(assert|functional|adaptive_avg_pool|native_batch_norm_legit|batch_norm_(no|with)_update|pad_|upsample"
    r"|linalg|fft|scaled_dot_product|thnn_fused|embedding_bag|weight_norm|unsafe_(view|index|masked_index)|is_(all|any)"
    r"|transform|softmax|log_softmax|masked_softmax|safe_softmax|convolution|unique|cdist|pdist|pack_padded|grouped_mm)"
    r"\w*|_(addmm_activation|aminmax|conj|conj_physical|euclidean_dist|fused_rms_norm|int_mm|local_scalar_dense"
    r"|logcumsumexp|native_multi_head_attention|neg_view|prelu_kernel|shape_as_tensor|stack|standard_gamma|to_copy"
    r"|to_cpu|trilinear)",
    re.ASCII,
)
"""Operators with a leading underscore that an exported network may contain. Others do not check their arguments, and
could be made to read beyond the end of a tensor."""

_ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    **{
        f"_operator.{name}": getattr(operator, name)
        for name in (
            *("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "neg", "pos", "getitem"),
            *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_"),
        )
    },
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc", "sqrt")},
    **{
        f"torch.{name}": getattr(torch, name)
        for name in ("sym_int", "sym_float", "sym_not", "sym_max", "sym_min", "sym_ite")
    },
    "torch.sym_sqrt": math.sqrt,
    "torch._sym_sqrt": math.sqrt,
}

_METADATA: Mapping[str, Callable[..., Any]] = {
    "torch.ops.aten.sym_size.int": lambda tensor, dim: tensor.shape[dim],
    "torch.ops.aten.sym_stride.int": lambda tensor, dim: tensor.stride()[dim],
    "torch.ops.aten.sym_numel.default": lambda tensor: math.prod(tensor.shape),
    "torch.ops.aten.sym_storage_offset.default": lambda tensor: tensor.storage_offset(),
    **{
        f"torch.ops.aten.{name}": lambda *args, **kwargs: None
        for name in (
            *("_assert_scalar.default", "_assert_tensor_metadata.default", "_assert_async.msg"),
            *("sym_constrain_range.default", "sym_constrain_range_for_size.default"),
        )
    },
}
"""Functions that read the sizes of a tensor without computing anything, and checks that the export added."""


def _norm_in_evaluation(
    values: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any, ...]:
    return torch.ops.aten.native_batch_norm.default(values, weight, bias, mean, variance, False, momentum, eps)  # type: ignore[no-any-return]


def _norm_by_value(
    values: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, ...]:
    given = (values, weight, bias, mean, variance, training, momentum, eps)
    return (*torch.ops.aten.native_batch_norm.default(*given), mean, variance)


_SYNONYMS: Mapping[str, Callable[..., Any]] = {
    "torch.ops.aten._native_batch_norm_legit.default": torch.ops.aten.native_batch_norm.default,
    "torch.ops.aten._native_batch_norm_legit_no_training.default": _norm_in_evaluation,
    "torch.ops.aten._native_batch_norm_legit_functional.default": _norm_by_value,
}
"""Variants of an operator that only decomposed graphs contain."""

WRAPPERS: Mapping[str, int] = {
    "torch.ops.higher_order.wrap_with_set_grad_enabled": 1,
    "torch.ops.higher_order.wrap_with_autocast": 4,
}
"""Operators that run a graph under a setting of torch -> the number of arguments before the graph."""

CONDITION = "torch.ops.higher_order.cond"


def function_of(target: str) -> Callable[..., Any] | None:
    """Return the function that a node names, `None` if it may not be run."""
    if plain := _ARITHMETIC.get(target) or _METADATA.get(target) or _SYNONYMS.get(target):
        return plain
    match = _OPERATOR.fullmatch(target)
    if match is None:
        return None
    space, name, overload = match.groups()
    if _REFUSED.fullmatch(name) or (name.startswith("_") and not _INNER.fullmatch(name)):
        return None
    full = f"{space}::{name}" + (f".{overload}" if overload != "default" else "")
    if not _has_kernel(full):
        return None  # such as `aten::save`, which only TorchScript knows
    found = getattr(getattr(getattr(torch.ops, space), name, None), overload, None)
    return found if isinstance(found, torch._ops.OpOverload) else None


def _has_kernel(name: str) -> bool:
    try:
        return bool(torch._C._dispatch_has_kernel(name))
    except RuntimeError:
        return False
