"""Fixes that name the code which executes a required kind: that code, with numbers for its arguments, does."""

from __future__ import annotations

from tests.support.fix_trials import Case

MAP = "[2, 4, 8, 8]"
ROWS = "[2, 5, 4]"
TABLE = {
    "batch_norm": ("nn.BatchNorm2d(channels)", "nn.BatchNorm2d(4)(x)"),
    "layer_norm": ("nn.LayerNorm(features)", "nn.LayerNorm(8)(x)"),
    "group_norm": ("nn.GroupNorm(groups, channels)", "nn.GroupNorm(2, 4)(x)"),
    "instance_norm": ("nn.InstanceNorm2d(channels)", "nn.InstanceNorm2d(4)(x)"),
    "rms_norm": ("nn.RMSNorm(features)", "nn.RMSNorm(8)(x)"),
    "norm": ("nn.BatchNorm2d(channels)", "nn.BatchNorm2d(4)(x)"),
    "activation": ("nn.ReLU()", "nn.ReLU()(x)"),
    "relu": ("nn.ReLU()", "nn.ReLU()(x)"),
    "gelu": ("nn.GELU()", "nn.GELU()(x)"),
    "silu": ("nn.SiLU()", "nn.SiLU()(x)"),
    "leaky_relu": ("nn.LeakyReLU()", "nn.LeakyReLU()(x)"),
    "sigmoid": ("nn.Sigmoid()", "nn.Sigmoid()(x)"),
    "tanh": ("nn.Tanh()", "nn.Tanh()(x)"),
    "relu6": ("nn.ReLU6()", "nn.ReLU6()(x)"),
    "prelu": ("nn.PReLU()", "nn.PReLU()(x)"),
    "elu": ("nn.ELU()", "nn.ELU()(x)"),
    "selu": ("nn.SELU()", "nn.SELU()(x)"),
    "celu": ("nn.CELU()", "nn.CELU()(x)"),
    "mish": ("nn.Mish()", "nn.Mish()(x)"),
    "softplus": ("nn.Softplus()", "nn.Softplus()(x)"),
    "hardtanh": ("nn.Hardtanh()", "nn.Hardtanh()(x)"),
    "hardswish": ("nn.Hardswish()", "nn.Hardswish()(x)"),
    "hardsigmoid": ("nn.Hardsigmoid()", "nn.Hardsigmoid()(x)"),
    "log_sigmoid": ("nn.LogSigmoid()", "nn.LogSigmoid()(x)"),
    "glu": ("nn.GLU(dim=1)", "nn.GLU(dim=1)(x)"),
    "rrelu": ("nn.RReLU()", "nn.RReLU()(x)"),
    "threshold": ("nn.Threshold(threshold, value)", "nn.Threshold(0.1, 0.0)(x)"),
    "softshrink": ("nn.Softshrink()", "nn.Softshrink()(x)"),
    "hardshrink": ("nn.Hardshrink()", "nn.Hardshrink()(x)"),
    "pool": ("nn.MaxPool2d(2)", "nn.MaxPool2d(2)(x)"),
    "max_pool": ("nn.MaxPool2d(2)", "nn.MaxPool2d(2)(x)"),
    "avg_pool": ("nn.AvgPool2d(2)", "nn.AvgPool2d(2)(x)"),
    "global_pool": ("nn.AdaptiveAvgPool2d(1)", "nn.AdaptiveAvgPool2d(1)(x)"),
    "global_max_pool": ("nn.AdaptiveMaxPool2d(1)", "nn.AdaptiveMaxPool2d(1)(x)"),
    "recurrent": ("nn.LSTM(inputs, hidden)", "nn.LSTM(4, 3)(x)[0]", ROWS),
    "lstm": ("nn.LSTM(inputs, hidden)", "nn.LSTM(4, 3)(x)[0]", ROWS),
    "gru": ("nn.GRU(inputs, hidden)", "nn.GRU(4, 3)(x)[0]", ROWS),
    "rnn": ("nn.RNN(inputs, hidden)", "nn.RNN(4, 3)(x)[0]", ROWS),
    "conv": ("nn.Conv2d(inputs, outputs, kernel_size)", "nn.Conv2d(4, 2, 3)(x)"),
    "global_conv": ("nn.Conv2d(inputs, outputs, extents_of_the_map)", "nn.Conv2d(4, 2, (8, 8))(x)"),
    "conv_transpose": ("nn.ConvTranspose2d(inputs, outputs, kernel_size)", "nn.ConvTranspose2d(4, 2, 3)(x)"),
    "linear": ("nn.Linear(inputs, outputs)", "nn.Linear(8, 2)(x)"),
    "weights": ("nn.Linear(inputs, outputs)", "nn.Linear(8, 2)(x)"),
    "bilinear": ("nn.Bilinear(first, second, outputs)", "nn.Bilinear(4, 4, 3)(x, x)", ROWS),
    "embedding": ("nn.Embedding(entries, features)", "nn.Embedding(4, 3)((x > 0.5).long())"),
    "softmax": ("F.softmax(x, dim=1)", "F.softmax(x, dim=1)"),
    "log_softmax": ("F.log_softmax(x, dim=1)", "F.log_softmax(x, dim=1)"),
    "matmul": ("a @ b", "x @ x"),
    "pad": ("F.pad(x, widths)", "F.pad(x, (1, 1))"),
    "upsample": ("nn.Upsample(scale_factor=2)", "nn.Upsample(scale_factor=2)(x)"),
    "reshape": ("x.flatten(1)", "x.flatten(1)"),
    "permute": ("x.transpose(1, 2)", "x.transpose(1, 2)"),
    "slice": ("x[:, :count]", "x[:, :2]"),
    "cat": ("torch.cat([a, b], dim)", "torch.cat([x, x], 1)"),
    "copy": ("x.clone()", "x.clone()"),
    "pixel_shuffle": ("nn.PixelShuffle(2)", "nn.PixelShuffle(2)(x)"),
    "channel_shuffle": ("nn.ChannelShuffle(groups)", "nn.ChannelShuffle(2)(x)"),
    "add": ("a + b", "x + x"),
    "sub": ("a - b", "x - x.sqrt()"),
    "mul": ("a * b", "x * x"),
    "div": ("a / b", "x / x.exp()"),
    "mean": ("x.mean(dim)", "x.mean(1)"),
    "sum": ("x.sum(dim)", "x.sum(1)"),
    "loss": ("F.mse_loss(x, target)", "F.mse_loss(x, x.exp())"),
    "constant": ("x + torch.tensor([1.0])", "x + torch.tensor([1.0])"),
    "random": ("x + torch.rand_like(x)", "x + torch.rand_like(x)"),
    "factory": ("x + torch.zeros_like(x)", "x + torch.zeros_like(x)"),
}
"""Kind -> the code that its fix names, the same with numbers, and the input if it is no map."""
WITHOUT = """
def __init__(self):
    super().__init__()
    self.layer = nn.Identity()

def forward(self, x):
    x = x.exp()
    return x.abs()
"""


def _edit(code: str) -> list[tuple[str, str]]:
    """Put code before the output: a layer is built in the constructor, a function called in `forward`."""
    if code.startswith("nn."):
        depth, end = 0, len(code)
        for at, sign in enumerate(code):
            depth += (sign == "(") - (sign == ")")
            if sign == ")" and not depth:
                end = at + 1
                break
        return [("nn.Identity()", code[:end]), ("return x.abs()", f"return self.layer{code[end:]}.abs()")]
    return [("return x.abs()", f"x = {code}\n        return x.abs()")]


def _case(kind: str, named: str, code: str, shape: str = MAP) -> Case:
    fix = f"add `{named}`"
    return Case(rule=f'requires = ["{kind}"]', model=WITHOUT, input=shape, fix=fix, edits={fix: _edit(code)})


CASES = [_case(kind, *row) for kind, row in TABLE.items()]
CASES += [
    Case(
        rule=f'requires = ["{kind}"]',
        model=WITHOUT,
        input=MAP,
        fix=(fix := f"name the layer type in the contract, `{type_}`, and call a layer of that type"),
        edits={fix: [(f'["{kind}"]', f'["{type_}"]'), *_edit(f"nn.{type_}({given})(x)")]},
    )
    for kind, type_, given in (
        ("softsign", "Softsign", ""),
        ("tanhshrink", "Tanhshrink", ""),
        ("local_response_norm", "LocalResponseNorm", "2"),
        ("lp_pool", "LPPool2d", "2, 2"),
    )
]
CASES += [
    Case(
        rule='requires = ["dropout"]',
        model=WITHOUT,
        input=MAP,
        fix="add `nn.Dropout(p)` or `F.dropout(x, p, self.training)`",
        edits={
            "add `nn.Dropout(p)`": _edit("nn.Dropout(0.5)(x)"),
            "`F.dropout(x, p, self.training)`": _edit("F.dropout(x, 0.5, self.training)"),
        },
    ),
    Case(
        rule='requires = ["global_avg_pool"]',
        model=WITHOUT,
        input=MAP,
        fix="add `nn.AdaptiveAvgPool2d(1)` or `x.mean((2, 3))`",
        edits={
            "add `nn.AdaptiveAvgPool2d(1)`": _edit("nn.AdaptiveAvgPool2d(1)(x)"),
            "`x.mean((2, 3))`": _edit("x.mean((2, 3))"),
        },
    ),
    Case(
        rule='requires = ["attention"]',
        model=WITHOUT,
        input=ROWS,
        fix="add `nn.MultiheadAttention(features, heads)` or `F.scaled_dot_product_attention(q, k, v)`",
        edits={
            "add `nn.MultiheadAttention(features, heads)`": _edit("nn.MultiheadAttention(4, 2)(x, x, x)[0]"),
            "`F.scaled_dot_product_attention(q, k, v)`": _edit("F.scaled_dot_product_attention(x, x, x)"),
        },
    ),
    Case(
        rule='requires = ["GELU"]',
        model=WITHOUT,
        fix="add a layer of type `GELU`",
        edits={"add a layer of type `GELU`": _edit("nn.GELU()(x)")},
    ),
    Case(
        rule='requires = ["tanh"]',
        model=WITHOUT.replace("nn.Identity()", "nn.Tanh()"),
        fix="call it in `forward` on the way to the output, or drop tanh from the contract",
        edits={
            "call it in `forward` on the way to the output": ("return x.abs()", "return self.layer(x)"),
            "drop tanh from the contract": ('requires = ["tanh"]', ""),
        },
    ),
    Case(
        rule='requires = ["body.*"]',
        model=WITHOUT,
        fix="call the layers at `body.*` in `forward`",
        edits={
            "call the layers at `body.*` in `forward`": [
                ("self.layer = nn.Identity()", "self.body = nn.Sequential(nn.Tanh())"),
                ("return x.abs()", "return self.body(x)"),
            ]
        },
    ),
    Case(
        rule='requires = ["aten::cumsum"]',
        model=WITHOUT,
        fix="call `torch.ops.aten.cumsum` in `forward`",
        edits={"call `torch.ops.aten.cumsum` in `forward`": _edit("torch.ops.aten.cumsum(x, 1)")},
    ),
    Case(
        rule='requires = ["unknown"]',
        model=WITHOUT,
        fix="drop unknown from the contract",
        edits={"drop unknown from the contract": ('requires = ["unknown"]', "")},
    ),
    Case(
        rule='requires-any = ["gru", "lstm"]',
        model=WITHOUT,
        input=ROWS,
        fix="add `nn.GRU(inputs, hidden)`, or add `nn.LSTM(inputs, hidden)`",
        edits={
            "add `nn.GRU(inputs, hidden)`": _edit("nn.GRU(4, 3)(x)[0]"),
            "add `nn.LSTM(inputs, hidden)`": _edit("nn.LSTM(4, 3)(x)[0]"),
        },
    ),
]
