"""How rules point at things: a path (`features.**`), a layer type (`Conv2d`) or a kind (`conv`, `norm`).

Kinds are the canonical names that the measuring gives to executed operations; groups gather kinds that a rule
rarely wants apart.
"""

from __future__ import annotations

import re
from functools import cache

from archcheck.facts import Facts, Op

GROUPS: dict[str, tuple[str, ...]] = {
    "norm": ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"),
    "activation": (
        "relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid",
        "tanh", "softplus", "hardtanh", "hardswish", "hardsigmoid", "log_sigmoid", "glu", "softsign", "rrelu",
        "threshold", "softshrink", "hardshrink", "tanhshrink",
    ),
    "pool": ("max_pool", "avg_pool", "lp_pool", "global_avg_pool", "global_max_pool"),
    "global_pool": ("global_avg_pool", "global_max_pool"),
    "recurrent": ("lstm", "gru", "rnn"),
    "reshape": ("reshape", "permute", "slice", "cat", "copy", "pad", "pixel_shuffle", "channel_shuffle", "upsample"),
    "weights": ("conv", "conv_transpose", "linear", "bilinear", "embedding", "lstm", "gru", "rnn", "attention"),
}  # fmt: skip
"""Group name -> kinds. `weights` are the operations that mix features with learned weights."""

KINDS: frozenset[str] = frozenset(kind for kinds in GROUPS.values() for kind in kinds) | {
    "input", "constant", "factory", "random", "dropout", "matmul", "softmax", "log_softmax", "add", "sub",
    "mul", "div", "mean", "sum", "loss", "unknown",
}  # fmt: skip
"""Every canonical kind. An operation outside this list has the name that torch gives it as its kind."""


def kinds_of(selector: str) -> tuple[str, ...]:
    """Return the kinds that a kind or group name stands for; empty when it is neither."""
    if selector in GROUPS:
        return GROUPS[selector]
    return (selector,) if selector in KINDS else ()


def is_layer_type(selector: str) -> bool:
    """Whether the selector names a class (`Conv2d`)."""
    return selector[:1].isupper() and "." not in selector and "*" not in selector


def selects(selector: str | None, op: Op, facts: Facts) -> bool:
    """Whether `selector` points at `op`. No selector points at everything."""
    if selector is None:
        return True
    if kinds := kinds_of(selector):
        return op.kind in kinds or (selector == "linear" and bool(op.attributes.get("linear_like")))
    if is_layer_type(selector):
        layer = facts.layer(op.layer)
        return layer is not None and layer.type == selector
    return matches_path(selector, op.layer)


def matches_path(pattern: str, path: str) -> bool:
    """Whether a layer path matches: `*` stands for one step, `**` for any number; a path covers its children.

    >>> matches_path("features.**", "features.0.conv"), matches_path("features.*", "features.0.conv")
    (True, True)
    >>> matches_path("*.conv", "block1.conv"), matches_path("block", "block1.conv")
    (True, False)
    """
    return _compiled(pattern).fullmatch(path) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    steps = {"**": r"[^.]+(?:\.[^.]+)*", "*": r"[^.]+"}
    parts = [steps.get(step) or re.escape(step).replace(r"\*", "[^.]*") for step in pattern.split(".")]
    body = r"\.".join(parts)
    return re.compile(rf"{body}(?:\..+)?")
