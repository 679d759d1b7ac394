"""Suggest the next step for a required operation that is missing, as code that a user can copy."""

from __future__ import annotations

from archcheck.facts.facts import Facts
from archcheck.facts.records import Op
from archcheck.facts.selectors import is_layer_type, is_operator
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
    "relu6": "nn.ReLU6()",
    "prelu": "nn.PReLU()",
    "elu": "nn.ELU()",
    "selu": "nn.SELU()",
    "celu": "nn.CELU()",
    "mish": "nn.Mish()",
    "softplus": "nn.Softplus()",
    "hardtanh": "nn.Hardtanh()",
    "hardswish": "nn.Hardswish()",
    "hardsigmoid": "nn.Hardsigmoid()",
    "log_sigmoid": "nn.LogSigmoid()",
    "glu": "nn.GLU(dim=1)",
    "rrelu": "nn.RReLU()",
    "threshold": "nn.Threshold(threshold, value)",
    "softshrink": "nn.Softshrink()",
    "hardshrink": "nn.Hardshrink()",
    "global_conv": "nn.Conv2d(inputs, outputs, extents_of_the_map)",
    "weights": "nn.Linear(inputs, outputs)",
    "reshape": "x.flatten(1)",
    "permute": "x.transpose(1, 2)",
    "slice": "x[:, :count]",
    "cat": "torch.cat([a, b], dim)",
    "copy": "x.clone()",
    "pixel_shuffle": "nn.PixelShuffle(2)",
    "channel_shuffle": "nn.ChannelShuffle(groups)",
    "add": "a + b",
    "sub": "a - b",
    "mul": "a * b",
    "div": "a / b",
    "mean": "x.mean(dim)",
    "sum": "x.sum(dim)",
    "loss": "F.mse_loss(x, target)",
    "constant": "x + torch.tensor([1.0])",
    "random": "x + torch.rand_like(x)",
    "factory": "x + torch.zeros_like(x)",
}
"""Kind or group -> a call of torch that executes it."""

_BY_TYPE = {
    "softsign": "Softsign",
    "tanhshrink": "Tanhshrink",
    "local_response_norm": "LocalResponseNorm",
    "lp_pool": "LPPool2d",
}
"""Kind that no operation has, because torch runs it in several -> the layer type to name instead."""

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
    if kind in _BY_TYPE:
        return f"name the layer type in the contract, `{_BY_TYPE[kind]}`, and call a layer of that type"
    if is_layer_type(kind):
        return f"add a layer of type `{kind}`"
    if is_operator(kind):
        return f"call `torch.ops.{kind.replace('::', '.')}` in `forward`"
    return f"call the layers at `{kind}` in `forward`" if {".", "*"} & {*kind} else f"drop {kind} from the contract"


def repair(kind: str, op: Op | None, facts: Facts, *, alone: bool = True) -> str:
    """Return how to fix what comes closest to `kind`: an operation, or a layer that is never called.

    Where the rule asks for one of several kinds, `kind` is not `alone`, and no rule is kept without that word.
    """
    otherwise = f", or drop {kind} from the contract" if alone else ""
    if kind in _BY_TYPE:
        return addition(kind)
    if op is not None and not op.live:
        return f"use its result on the way to the output{otherwise}"
    if op is None:
        return f"call it in `forward` on the way to the output{otherwise}"
    if kind == "dropout":
        return next(each.fix for each in dropouts(facts) if each.op is op)
    if kind == "global_avg_pool":
        return "average over the whole map: `nn.AdaptiveAvgPool2d(1)`, or `x.mean((2, 3))`"
    if kind == "linear" and op.kind == "global_conv":
        return "flatten the map into an `nn.Linear`, or pool it globally before a 1x1 convolution"
    if kind == "linear":
        return addition(kind)
    return f"apply it where it changes something, in training and in evaluation{otherwise}"
