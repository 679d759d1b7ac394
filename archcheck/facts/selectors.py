"""Select operations and layers by a path (`features.**`), a layer type (`Conv2d`), a kind (`conv`, `norm`) or an
operator (`aten::cumsum`).

A path and a layer type select everything inside the layers they name. Kinds are the canonical names of executed
operations. Groups gather kinds that a rule rarely needs apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from archcheck.facts.facts import Facts, lineage
from archcheck.facts.records import Layer, Op
from archcheck.foundation.words import did_you_mean, nearest, quote

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
    "weights": (
        "conv", "global_conv", "conv_transpose", "linear", "bilinear", "embedding", "lstm", "gru", "rnn", "attention",
    ),
}  # fmt: skip
"""Group name -> kinds. `weights` are the operations that mix features with learned weights."""

KINDS: frozenset[str] = frozenset(kind for kinds in GROUPS.values() for kind in kinds) | {
    "input", "constant", "factory", "random", "dropout", "matmul", "softmax", "log_softmax", "add", "sub",
    "mul", "div", "mean", "sum", "loss", "unknown",
}  # fmt: skip
"""Every canonical kind. An operation outside this list has the name that torch gives it as its kind."""


def kinds_of(selector: str) -> tuple[str, ...]:
    """Return the kinds of a kind or group name; empty if it is neither."""
    if selector in GROUPS:
        return GROUPS[selector]
    return (selector,) if selector in KINDS else ()


def is_layer_type(selector: str) -> bool:
    """Whether the selector names a class (`Conv2d`)."""
    return selector[:1].isupper() and not {".", "*", ":"} & set(selector)


def is_operator(selector: str) -> bool:
    """Whether the selector is the full name of an operator: `aten::cumsum`, `mylib::scan`."""
    return re.fullmatch(r"[A-Za-z_]\w*::[A-Za-z_]\w*", selector) is not None


EVERYDAY_WORDS = {
    "gap": "global_avg_pool",
    "fc": "linear",
    "dense": "linear",
    "bn": "batch_norm",
    "ln": "layer_norm",
}
"""Usual names of kinds that are not spelled like the kind."""


def mistake_in(word: str) -> str | None:
    """Return what is wrong with a word that must select operations; `None` if nothing is.

    >>> mistake_in("conv"), mistake_in("batchnorm")
    (None, '"batchnorm" is not a kind; did you mean "batch_norm"?')
    """
    if kinds_of(word) or is_layer_type(word) or is_operator(word) or {".", "*"} & set(word):
        return None
    known = (*KINDS, *GROUPS)
    meant = EVERYDAY_WORDS.get(word.lower()) or nearest(word, known) or word
    otherwise = 'write a kind ("conv"), a layer type ("Conv2d"), a path ("features.**") or an operator ("aten::cumsum")'
    return f"{quote(word)} is not a kind{did_you_mean(meant, known, otherwise)}"


_COVERING = {"global_avg_pool": "avg_pool", "global_max_pool": "max_pool", "global_conv": "conv"}


def selects(selector: str | None, op: Op, facts: Facts) -> bool:
    """Whether `selector` points at `op`. No selector points at everything."""
    if selector is None:
        return True
    if kinds := kinds_of(selector):
        # A pooling or a convolution that covers the whole map is still what it is written as.
        return op.kind in kinds or (selector in op.op and _COVERING.get(op.kind) == selector)
    if is_operator(selector):
        return selector in (op.op, f"aten::{op.op}")
    return instance(selector, op.layer, facts) is not None


def selects_layer(selector: str | None, layer: Layer, facts: Facts) -> bool:
    """Whether `selector` selects `layer`, executed or not.

    An unexecuted layer has no kind. A kind therefore selects layers by their names: `linear` selects `Linear`, and
    `batch_norm` selects `BatchNorm2d`.
    """
    if selector is None:
        return True
    if kinds := kinds_of(selector):
        return any(_is_called(kind, layer.type) for kind in kinds)
    return instance(selector, layer.path, facts) is not None


def _is_called(kind: str, layer_type: str) -> bool:
    plain = re.sub(r"^(lazy|multihead)|[123]d$", "", layer_type.lower())
    return plain == kind.replace("_", "")


def instance(selector: str, path: str, facts: Facts) -> str | None:
    """Return the outermost layer around `path`, or at it, that a path or a layer type names; `None` if none is."""
    named = is_layer_type(selector)
    for around in lineage(path):
        layer = facts.layer(around) if named else None
        if matches_path(selector, around) or (layer is not None and layer.type == selector):
            return around
    return None


def outermost(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that lie in no other one of `layers`."""
    paths = {layer.path for layer in layers}
    return [layer for layer in layers if paths.isdisjoint({*lineage(layer.path)} - {layer.path})]


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
