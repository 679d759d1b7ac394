"""Matrix products written as elementwise operations count as products, and scaling counts nothing."""

from __future__ import annotations

import functools
import operator

import pytest
import torch
import torch.nn.functional as F
from networks import Apply
from torch import nn

from archcheck.measure import measure_model
from archcheck.measure.loading.example import given
from archcheck.measure.passes.forward import Passes
from archcheck.measure.structure.graph import build

X, MAP, TOKENS = (2, 8), (2, 4, 6, 6), (2, 5, 8)
LINEAR = 2 * 16 * 8
PAIRS = 2 * 5 * 5 * 8
TARGETS, SOURCES = torch.arange(16).repeat_interleave(8), torch.arange(8).repeat(16)


def added(terms, start):
    return functools.reduce(operator.add, terms, start)


# The weights: `w` is 16x8, `u` 8x16, `v` 8 and `c` 4x1x1.
PRODUCTS = {
    "multiplied and summed": (lambda s, x: (x[:, None] * s.w).sum(-1), X, LINEAR),
    "of one sample": (lambda s, x: (x[:, None] * s.w).sum(-1), (1, 8), 16 * 8),
    "a mean": (lambda s, x: (x[:, None] * s.w).mean(-1) * 8, X, LINEAR),
    "an axis that is kept": (lambda s, x: (x[:, None] * s.w).sum(-1, keepdim=True), X, LINEAR),
    "by columns": (lambda s, x: (x[:, :, None] * s.u).sum(1), X, LINEAR),
    "of views": (lambda s, x: (x[:, None].expand(2, 16, 8) * s.w.expand(2, 16, 8)).sum(-1), X, LINEAR),
    "of copies": (lambda s, x: (x[:, None].repeat(1, 16, 1) * s.w).sum(-1), X, LINEAR),
    "in place": (lambda s, x: x[:, None].expand(2, 16, 8).clone().mul_(s.w).sum(-1), X, LINEAR),
    "addcmul": (lambda s, x: torch.addcmul(torch.zeros(1), x[:, None], s.w).sum(-1), X, LINEAR),
    "divided": (lambda s, x: (x[:, None] / s.w).sum(-1), X, LINEAR),
    "a running sum": (lambda s, x: (x[:, None] * s.w).cumsum(-1)[..., -1], X, LINEAR),
    "reshaped": (lambda s, x: (x[:, None] * s.w).reshape(32, 8).sum(-1), X, LINEAR),
    "transposed": (lambda s, x: (x[:, None] * s.w).permute(2, 0, 1).sum(0), X, LINEAR),
    "flat": (lambda s, x: (x.repeat(1, 16) * s.w.flatten()).view(2, 16, 8).sum(-1), X, LINEAR),
    "scaled before": (lambda s, x: ((x[:, None] * s.w) * 0.5 + 1).sum(-1), X, LINEAR),
    "an activation between": (lambda s, x: (x[:, None] * s.w).relu().sum(-1), X, LINEAR),
    "pooled": (lambda s, x: F.avg_pool1d(x[:, None] * s.w, 8), X, LINEAR),
    "pooled to one": (lambda s, x: F.adaptive_avg_pool1d(x[:, None] * s.w, 1), X, LINEAR),
    "connections": (
        lambda s, x: torch.zeros(2, 16).index_add(1, TARGETS, x[:, SOURCES] * s.w.flatten()), X, LINEAR),
    "scattered": (
        lambda s, x: torch.zeros(2, 16).scatter_add(1, TARGETS.expand(2, -1), x[:, SOURCES] * s.w.flatten()),
        X, LINEAR),
    "halves": (lambda s, x: operator.add(*(y.sum(-1) for y in (x[:, None] * s.w).chunk(2, -1))), X, LINEAR),
    "unbound": (lambda s, x: sum((x[:, None] * s.w).unbind(-1)), X, LINEAR),
    "a loop": (lambda s, x: sum(x[:, i : i + 1] * s.u[i] for i in range(8)), X, LINEAR),
    "a loop of one sample": (lambda s, x: sum(x[:, i : i + 1] * s.u[i] for i in range(8)), (1, 8), 8 * 16),
    "a loop over zeros": (
        lambda s, x: added((x[:, i, None] * s.u[i] for i in range(8)), torch.zeros(2, 16)), X, LINEAR),
    "a loop of addcmul": (
        lambda s, x: functools.reduce(lambda y, i: y.addcmul_(x[:, i, None], s.u[i]), range(8), torch.zeros(2, 16)),
        X, LINEAR),
    "a stack": (lambda s, x: torch.stack([x[:, i : i + 1] * s.u[i] for i in range(8)]).sum(0), X, LINEAR),
    "row by row": (lambda s, x: torch.stack([(x * row).sum(-1) for row in s.w], -1), X, LINEAR),
    "one row": (lambda s, x: (x * s.v).sum(-1), X, 2 * 8),
    "one number from a map": (lambda s, x: (x * s.c).sum((1, 2, 3)), MAP, 2 * 4),
    "scores": (lambda s, x: (x[:, :, None] * x[:, None]).sum(-1), TOKENS, PAIRS),
    "distances of pairs": (lambda s, x: (x[:, :, None] - x[:, None]).pow(2).sum(-1), TOKENS, PAIRS),
    "distances to prototypes": (lambda s, x: ((x[:, None] - s.w) ** 2).sum(-1), X, LINEAR),
    "norms to prototypes": (lambda s, x: (x[:, None] - s.w).norm(dim=-1), X, LINEAR),
    "absolute distances": (lambda s, x: (x[:, None] - s.w).abs().sum(-1), X, LINEAR),
    "a convolution of patches": (
        lambda s, x: (F.unfold(x[:, :1], 3, padding=1)[:, None] * s.w.flatten()[:27].view(3, 9, 1)).sum(2),
        MAP, 2 * 36 * 9 * 3),
    "element by element": (
        lambda s, x: torch.stack([sum(s.w[o, i] * x[:, i] for i in range(8)) for o in range(16)], 1), X, LINEAR),
    "positions, scaled and summed": (lambda s, x: sum(s.v[i] * x[:, i] for i in range(5)), TOKENS, 2 * 5 * 8),
    "unbound positions": (
        lambda s, x: sum(w * row for w, row in zip(s.v[:5], x.unbind(1), strict=True)), TOKENS, 2 * 5 * 8),
    "a stack of positions": (
        lambda s, x: torch.stack([s.v[i] * x[:, i] for i in range(5)]).sum(0), TOKENS, 2 * 5 * 8),
    "weights that are normed first": (
        lambda s, x: sum(s.v.softmax(0)[i] * x[:, i] for i in range(5)), TOKENS, 2 * 5 * 8),
    "a convolution by its taps": (
        lambda s, x: sum(s.w[i, j] * x[..., i : i + 4, j : j + 4] for i in range(3) for j in range(3)),
        MAP, 2 * 4 * 16 * 9),
    "a depthwise convolution by its taps": (
        lambda s, x: sum(s.w[:4, i].view(4, 1, 1) * x[..., i : i + 4] for i in range(3)), MAP, 2 * 4 * 6 * 4 * 3),
    "taps that are added in place": (
        lambda s, x: functools.reduce(lambda y, i: y.addcmul_(x[:, i], s.v[i]), range(5), torch.zeros(2, 8)),
        TOKENS, 2 * 5 * 8),
    "taps of a padded map": (
        lambda s, x: (lambda p: s.v[0] * p[:, :-1] + s.v[1] * p[:, 1:])(F.pad(x, (0, 0, 1, 0))), TOKENS, 2 * 5 * 8 * 2),
}  # fmt: skip

SCALING = {
    "a scaled branch": (lambda s, x: x + x * s.v, TOKENS),
    "a scaled branch, pooled": (lambda s, x: (x * s.v).mean(1), TOKENS),
    "scaled channels, pooled": (lambda s, x: (x * s.c).mean((2, 3)), MAP),
    "scaled channels in a pooling": (lambda s, x: F.adaptive_avg_pool2d(x * s.c, 1), MAP),
    "squeeze and excite": (lambda s, x: (x * x.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3)), MAP),
    "attention to positions": (lambda s, x: (x * x.mean(1, keepdim=True).sigmoid()).mean((2, 3)), MAP),
    "a norm by hand behind a scale": (
        lambda s, x: (lambda h: (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True))(x * s.v), TOKENS),
    "a root mean square by hand": (
        lambda s, x: (x * s.v) / (x * s.v).pow(2).mean(-1, keepdim=True).sqrt(), TOKENS),
    "batch norm by hand, pooled": (
        lambda s, x: ((x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True) * s.c).mean((2, 3)), MAP),
    "pooling by attention": (lambda s, x: (x.mean(-1, keepdim=True).softmax(1) * x).sum(1), TOKENS),
    "pooling under a mask": (lambda s, x: (x * (x[..., :1] > 0)).sum(1), TOKENS),
    "experts combined": (lambda s, x: (x.softmax(1)[..., None] * torch.stack([x] * 8, 1)).sum(1), X),
    "squares": (lambda s, x: (x * x).sum(-1), TOKENS),
    "a mix of two steps": (lambda s, x: x * s.v + x.roll(1, 1) * (1 - s.v), TOKENS),
    "a fusion of several maps": (lambda s, x: s.v[0] * x + s.v[1] * x.relu() + s.v[2] * x.tanh(), TOKENS),
    "one slice that is scaled": (lambda s, x: x[:, 1:] + s.v * x[:, :-1], TOKENS),
    "halves that are turned": (
        lambda s, x: x[..., ::2] * torch.arange(4).cos() - x[..., 1::2] * torch.arange(4).sin(), TOKENS),
    "halves that gate each other": (lambda s, x: x[..., :4] * x[..., 4:].sigmoid() + x[..., 4:], TOKENS),
    "a number": (lambda s, x: (x * s.v[0]).sum(-1), TOKENS),
    "gates": (lambda s, x: (x.sigmoid() * x.tanh()).mean(1), TOKENS),
    "frequencies": (lambda s, x: (x[..., None] * s.v).sin().flatten(1), X),
    "a token for each feature": (lambda s, x: x[..., None] * s.u + s.u, X),
    "soft bins": (lambda s, x: (-((x[..., None] - s.v) ** 2)).exp().sum(-1), X),
    "a variance": (lambda s, x: (x - x.mean(-1, keepdim=True)).pow(2).mean(-1), TOKENS),
    "a sum of differences": (lambda s, x: (x[:, None] - s.w).sum(-1), X),
    "a largest sum": (lambda s, x: (x[:, None] + s.w).amax(-1), X),
}  # fmt: skip


class Weights(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.w, self.u = nn.Parameter(torch.rand(16, 8) + 1), nn.Parameter(torch.rand(8, 16))
        self.v, self.c = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(4, 1, 1))
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def counted(function, shape, on):
    trace = Passes(Weights(function)).trace(given(torch.rand(shape)), training=False, real=on == "numbers")
    assert trace.uncounted == set()
    return sum(op.macs for op in build(trace, ".").ops)


@pytest.mark.parametrize("on", ["shapes", "numbers"])
@pytest.mark.parametrize("case", PRODUCTS)
def test_a_handwritten_product_counts_as_the_product(case, on):
    function, shape, macs = PRODUCTS[case]
    assert counted(function, shape, on) == macs


@pytest.mark.parametrize("on", ["shapes", "numbers"])
@pytest.mark.parametrize("case", SCALING)
def test_scaling_counts_nothing(case, on):
    function, shape = SCALING[case]
    assert counted(function, shape, on) == 0


def test_a_handwritten_product_counts_in_its_layer_and_in_training():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.rand(16, 8))

        def forward(self, x):
            return (x[:, None] * self.w).sum(-1)

    facts = measure_model(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), Head()), example=torch.rand(2, 8))
    head = facts.layer("2")
    assert head is not None
    assert (facts.cost.macs, head.macs) == (2 * 8 * 8 + LINEAR, LINEAR)
    assert sum(op.macs for op in facts.executed("train")) == facts.cost.macs


def test_a_product_that_only_training_sums_counts_there_alone():
    def forward(self, x):
        y = x[:, None] * self.w
        return y.sum(-1) if self.training else y.amax(-1)

    model = Apply(forward)
    model.w = nn.Parameter(torch.rand(16, 8))
    facts = measure_model(model, example=torch.rand(2, 8))
    assert facts.cost.macs == 0
    assert sum(op.macs for op in facts.executed("train")) == LINEAR
