"""Suggest the next step for a required operation that is missing, as code that a user can copy."""

from __future__ import annotations

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import is_layer_type
from archcheck.rules.queries.dropouts import dropouts

_CODE = {
    "batch_norm": "nn.BatchNorm2d(channels)",
    "layer_norm": "nn.LayerNorm(features)",
    "group_norm": "nn.GroupNorm(groups, channels)",
    "instance_norm": "nn.InstanceNorm2d(channels)",
    "rms_norm": "nn.RMSNorm(features)",
    "norm": "nn.BatchNorm2d(channels)",
    "activation": "nn.ReLU()",
    "relu": "nn.ReLU()",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
    "leaky_relu": "nn.LeakyReLU()",
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "pool": "nn.MaxPool2d(2)",
    "max_pool": "nn.MaxPool2d(2)",
    "avg_pool": "nn.AvgPool2d(2)",
    "global_pool": "nn.AdaptiveAvgPool2d(1)",
    "global_max_pool": "nn.AdaptiveMaxPool2d(1)",
    "recurrent": "nn.LSTM(inputs, hidden)",
    "lstm": "nn.LSTM(inputs, hidden)",
    "gru": "nn.GRU(inputs, hidden)",
    "rnn": "nn.RNN(inputs, hidden)",
    "conv": "nn.Conv2d(inputs, outputs, kernel_size)",
    "conv_transpose": "nn.ConvTranspose2d(inputs, outputs, kernel_size)",
    "linear": "nn.Linear(inputs, outputs)",
    "bilinear": "nn.Bilinear(first, second, outputs)",
    "embedding": "nn.Embedding(entries, features)",
    "softmax": "F.softmax(x, dim=1)",
    "log_softmax": "F.log_softmax(x, dim=1)",
    "matmul": "a @ b",
    "pad": "F.pad(x, widths)",
    "upsample": "nn.Upsample(scale_factor=2)",
}
"""Kind or group -> a call of torch that executes it."""

_WAYS = {
    "dropout": "add `nn.Dropout(p)` or `F.dropout(x, p, self.training)`",
    "global_avg_pool": "add `nn.AdaptiveAvgPool2d(1)` or `x.mean((2, 3))`",
    "attention": "add `nn.MultiheadAttention(features, heads)` or `F.scaled_dot_product_attention(q, k, v)`",
}
"""Kind -> advice, for kinds with two usual spellings."""


def addition(kind: str) -> str:
    """Return what to add to a model that executes nothing of `kind`.

    >>> addition("linear"), addition("Conv2d")
    ('add `nn.Linear(inputs, outputs)`', 'add a layer of type `Conv2d`')
    """
    if kind in _WAYS:
        return _WAYS[kind]
    if kind in _CODE:
        return f"add `{_CODE[kind]}`"
    if is_layer_type(kind):
        return f"add a layer of type `{kind}`"
    return f"call the layers at `{kind}` in `forward`" if {".", "*"} & {*kind} else f"add {kind}"


def repair(kind: str, op: Op | None, facts: Facts) -> str:
    """Return how to fix what comes closest to `kind`: an operation, or a layer that is never called."""
    if op is None or not op.live:
        return f"call it in `forward` on the way to the output, or drop {kind} from the contract"
    if kind == "dropout":
        return next(each.fix for each in dropouts(facts) if each.op is op)
    if kind == "global_avg_pool":
        return "average over the whole map: `nn.AdaptiveAvgPool2d(1)`, or `x.mean((2, 3))`"
    if kind == "linear" and op.kind == "global_conv":
        return "flatten the map into an `nn.Linear`, or pool it globally before a 1x1 convolution"
    if kind == "linear":
        return addition(kind)
    return f"apply it where it changes something, in training and in evaluation, or drop {kind} from the contract"
