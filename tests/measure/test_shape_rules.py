"""Shape rules against torch itself: the same shape, dtype and order in memory, or the same refusal."""

from __future__ import annotations

import pytest
import torch
from torch import rand

from archcheck.measure.shapes.arguments import bind, op_name
from archcheck.measure.shapes.operator_shapes import RULES
from tests.support.features import GROUPED_QUERIES, needs

aten = torch.ops.aten

UNARY = (
    "abs", "celu", "clone", "cos", "elu", "empty_like", "erf", "exp", "gelu", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log", "log_sigmoid", "mish", "neg", "ones_like", "rand_like", "randn_like", "relu", "relu6", "rsqrt",
    "selu", "sigmoid", "silu", "sin", "softplus", "sqrt", "square", "tanh", "tril", "triu", "zeros_like",
)  # fmt: skip


def image(*shape):
    """A batch of maps (N, C, H, W) whose channels come last in memory."""
    return rand(*shape).to(memory_format=torch.channels_last)


# How the tensor of shape (2, 4, 6, 6) that most calls are about may lie in memory, and of which dtype it may be.
INPUTS = {
    "plain": rand(2, 4, 6, 6),
    "channels last": image(2, 4, 6, 6),
    "transposed": rand(2, 4, 6, 6).mT,
    "half": rand(2, 4, 6, 6).half(),
    "double": rand(2, 4, 6, 6).double(),
    "integers": torch.ones(2, 4, 6, 6, dtype=torch.long),
    "complex": rand(2, 4, 6, 6).to(torch.complex64),
}


def like(x, *shape):
    return rand(*shape).to(x.dtype)


# Calls of the rules on a tensor `x`: operator and arguments.
CALLS = {
    "softmax": lambda x: (aten.softmax.int, x, 1),
    "log_softmax": lambda x: (aten.log_softmax.int, x, -1),
    "softmax over no axis": lambda x: (aten.softmax.int, x, 4),
    "pow": lambda x: (aten.pow.Tensor_Scalar, x, 2),
    "clamp": lambda x: (aten.clamp.default, x, 0, 1),
    "clamp by tensors": lambda x: (aten.clamp.Tensor, x, rand(3, 1, 1, 1, 1)),
    "roll": lambda x: (aten.roll.default, x, [1], [2]),
    "flip": lambda x: (aten.flip.default, x, [2]),
    "full_like": lambda x: (aten.full_like.default, x, 1),
    "dropout": lambda x: (aten.dropout.default, x, 0.5, False),
    "feature_dropout": lambda x: (aten.feature_dropout.default, x, 0.5, False),
    "add": lambda x: (aten.add.Tensor, x, x),
    "add number": lambda x: (aten.add.Tensor, x, 1.5),
    "add to the right": lambda x: (aten.add.Tensor, rand(4, 1, 1), x),
    "mul by channel": lambda x: (aten.mul.Tensor, x, rand(2, 4, 1, 1)),
    "mul by a double": lambda x: (aten.mul.Tensor, x, torch.tensor(2.0, dtype=torch.float64)),
    "div rounded": lambda x: (aten.div.Tensor_mode, x, 2.0),
    "maximum": lambda x: (aten.maximum.default, x, x),
    "rsub": lambda x: (aten.rsub.Scalar, x, 1),
    "shapes that do not fit": lambda x: (aten.add.Tensor, x, rand(5, 1, 1)),
    "eq": lambda x: (aten.eq.Tensor, x, x),
    "gt": lambda x: (aten.gt.Scalar, x, 1),
    "mean": lambda x: (aten.mean.dim, x, [2, 3]),
    "mean that keeps": lambda x: (aten.mean.dim, x, [2, 3], True),
    "mean over no axis": lambda x: (aten.mean.dim, x, [4]),
    "sum of all": lambda x: (aten.sum.dim_IntList, x, None),
    "amax": lambda x: (aten.amax.default, x, [-1]),
    "cat": lambda x: (aten.cat.default, [x, x], 1),
    "cat of two orders": lambda x: (aten.cat.default, [x, x.contiguous()], 1),
    "cat of two dtypes": lambda x: (aten.cat.default, [x, rand(2, 4, 6, 6)], 0),
    "cat of what does not fit": lambda x: (aten.cat.default, [x, x[:, :2]], 0),
    "stack": lambda x: (aten.stack.default, [x, x], -1),
    "pad": lambda x: (aten.constant_pad_nd.default, x, [1, 1, -1, 2]),
    "pad away": lambda x: (aten.constant_pad_nd.default, x, [-4, -4]),
    "where": lambda x: (aten.where.self, x == x, x, x),
    "where that broadcasts": lambda x: (aten.where.self, (x == x)[:1], x, torch.zeros((), dtype=x.dtype)),
    "linear": lambda x: (aten.linear.default, x, like(x, 5, 6)),
    "linear of another dtype": lambda x: (aten.linear.default, x, rand(5, 6)),
    "linear of another width": lambda x: (aten.linear.default, x, like(x, 5, 7)),
    "linear with a wrong bias": lambda x: (aten.linear.default, x, like(x, 5, 6), like(x, 4)),
    "conv": lambda x: (aten.conv2d.default, x, like(x, 5, 4, 3, 3)),
    "conv 1x1": lambda x: (aten.conv2d.default, x, like(x, 5, 4, 1, 1)),
    "conv same": lambda x: (aten.conv2d.padding, x, like(x, 5, 4, 4, 4), None, [1, 1], "same"),
    "conv same with stride": lambda x: (aten.conv2d.padding, x, like(x, 5, 4, 4, 4), None, [2, 2], "same"),
    "conv of channels-last weights": lambda x: (aten.conv2d.default, x, image(5, 4, 3, 3).to(x.dtype)),
    "conv of another dtype": lambda x: (aten.conv2d.default, x, rand(5, 4, 1, 1)),
    "conv of other channels": lambda x: (aten.conv2d.default, x, like(x, 5, 3, 1, 1)),
    "conv of odd groups": lambda x: (aten.conv2d.default, x, like(x, 5, 2, 1, 1), None, [1], [0], [1], 2),
    "conv too large": lambda x: (aten.conv2d.default, x, like(x, 5, 4, 7, 7)),
    "conv with a wrong bias": lambda x: (aten.conv2d.default, x, like(x, 5, 4, 1, 1), like(x, 4)),
    "batch_norm": lambda x: (aten.batch_norm.default, x, None, None, like(x, 4), like(x, 4), False, 0.1, 1e-5, True),
    "batch_norm of other channels": lambda x: (
        aten.batch_norm.default, x, like(x, 5), like(x, 5), like(x, 5), like(x, 5), False, 0.1, 1e-5, True,
    ),
    "layer_norm": lambda x: (aten.layer_norm.default, x, [6]),
    "layer_norm of another width": lambda x: (aten.layer_norm.default, x, [7]),
    "rms_norm of another width": lambda x: (aten.rms_norm.default, x, [7]),
    "group_norm": lambda x: (aten.group_norm.default, x, 2),
    "group_norm of odd groups": lambda x: (aten.group_norm.default, x, 3),
    "group_norm of other channels": lambda x: (aten.group_norm.default, x, 2, like(x, 5), like(x, 5)),
    "prelu": lambda x: (aten.prelu.default, x, like(x, 4)),
    "prelu of other channels": lambda x: (aten.prelu.default, x, like(x, 3)),
    "attention": lambda x: (aten.scaled_dot_product_attention.default, x, x, x),
    "attention with a wrong mask": lambda x: (aten.scaled_dot_product_attention.default, x, x, x, like(x, 6, 5)),
    "attention of other heads": lambda x: (aten.scaled_dot_product_attention.default, x, x[:, :3], x[:, :3]),
    "attention of other keys": lambda x: (aten.scaled_dot_product_attention.default, x, x, x[:, :, :5]),
    "attention that broadcasts": lambda x: (aten.scaled_dot_product_attention.default, x[:, :1], x, x[..., :5]),
    "matmul": lambda x: (aten.matmul.default, x, x.mT),
    "mm of too many axes": lambda x: (aten.mm.default, x, x),
    "bmm that would broadcast": lambda x: (aten.bmm.default, x[:1, 0], x[:, 0]),
    "addmm": lambda x: (aten.addmm.default, like(x, 6), x[0, 0], x[0, 0]),
    "addmm with a wrong bias": lambda x: (aten.addmm.default, like(x, 5), x[0, 0], x[0, 0]),
    "max_pool": lambda x: (aten.max_pool2d.default, x, [2, 2]),
    "max_pool that rounds up": lambda x: (aten.max_pool2d.default, x, [4, 4], [3, 3], [1, 1], [1, 1], True),
    "max_pool padded too much": lambda x: (aten.max_pool2d.default, x, [2, 2], [2, 2], [2, 2]),
    "max_pool too large": lambda x: (aten.max_pool2d.default, x, [7, 7]),
    "avg_pool": lambda x: (aten.avg_pool2d.default, x, [3, 2]),
    "adaptive pool": lambda x: (aten.adaptive_avg_pool2d.default, x, [3, 2]),
    "embedding": lambda x: (aten.embedding.default, rand(5, 3), x),
    **{name: lambda x, name=name: (getattr(aten, name).default, x) for name in UNARY},
}  # fmt: skip


def outside(tensor):
    """Return shape, dtype and strides; the stride of an axis of one does not matter."""
    strides = [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size != 1]
    return tuple(tensor.shape), tensor.dtype, strides


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("case", CALLS)
def test_a_rule_gives_the_result_of_torch(case, kind):
    func, *args = CALLS[case](INPUTS[kind])
    kwargs = {"rounding_mode": "floor"} if func is aten.div.Tensor_mode else {}
    try:
        expected = outside(func(*args, **kwargs))
    except (RuntimeError, IndexError, TypeError):
        expected = "refused"
    try:
        answer = RULES[op_name(func)](bind(func, tuple(args), kwargs))
    except RuntimeError:
        assert expected == "refused"
    else:
        assert answer is None or outside(answer) == expected


def test_the_rules_answer_what_is_common_and_do_not_ask_torch():
    for case in ("linear", "conv", "batch_norm", "layer_norm", "attention", "add", "cat", "max_pool", "relu", "mean"):
        func, *args = CALLS[case](INPUTS["plain"])
        assert RULES[op_name(func)](bind(func, tuple(args), {})) is not None


@needs(GROUPED_QUERIES, "grouped queries")
def test_grouped_heads_need_no_help_of_torch():
    query, key = rand(1, 6, 5, 8), rand(1, 2, 7, 8)
    call = bind(aten.scaled_dot_product_attention.default, (query, key, key), {"enable_gqa": True})
    assert RULES["scaled_dot_product_attention"](call).shape == (1, 6, 5, 8)
    odd = bind(aten.scaled_dot_product_attention.default, (rand(1, 5, 5, 8), key, key), {"enable_gqa": True})
    assert RULES["scaled_dot_product_attention"](odd) is None
