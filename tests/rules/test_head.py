"""`head`: what the output path ends in, and where the way back ends."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.foundation.errors import NotMeasured
from archcheck.judging.engine import measure
from archcheck.rules import Head
from archcheck.rules.queries.heads import head_of

IMAGE = torch.zeros(1, 1, 8, 8)


class Net(nn.Module):
    def __init__(self, then):
        super().__init__()
        self.conv, self.a, self.b = nn.Conv2d(1, 4, 3), nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.then = then

    def forward(self, x):
        return self.then(self, self.conv(x))


def pooled(x):
    return x.mean((2, 3))


def gated(self, x):
    """A squeeze and excitation."""
    return x * torch.sigmoid(self.b(torch.relu(self.a(pooled(x)))))[:, :, None, None]


def mixed(self, x):
    """Arithmetic of an activation with constants, parameters, zeros and noise of its own shape."""
    x = self.a(pooled(x)) * self.scale + 1
    return (x / torch.full((4,), 2.0) - torch.zeros_like(x) + 0 * torch.randn_like(x)).log_softmax(1)


@pytest.mark.parametrize(
    ("then", "head"),
    [
        (lambda self, x: self.a(pooled(x)).log_softmax(1), ("linear", "global_avg_pool")),
        (mixed, ("linear", "global_avg_pool")),
        (lambda self, x: gated(self, x).flatten(1).log_softmax(1), ("mul",)),
        (lambda self, x: self.a(pooled(x)) + self.b(pooled(x)), ("add",)),
        (lambda self, x: pooled(x) / x.amax((2, 3)), ("div",)),
        # A residual connection before the last layer: the head does not reach beyond it.
        (lambda self, x: self.a(pooled(x) + torch.relu(self.b(pooled(x)))), ("linear",)),
        (lambda self, x: self.a(pooled(gated(self, x))), ("linear", "global_avg_pool")),
        (lambda self, x: torch.cat([self.a(pooled(x)), self.b(pooled(x))], 1), ("linear", "global_avg_pool")),
        (lambda self, x: torch.cat([self.a(pooled(x)), pooled(x)], 1), ("cat",)),
        (lambda self, x: (self.a(pooled(x)), x), ("linear", "global_avg_pool")),
        (lambda self, x: F.avg_pool2d(x, 4), ("avg_pool (partial)",)),
        (lambda self, x: x.relu(), ("conv",)),
        (lambda self, x: (x.relu(), gated(self, x)), ("conv",)),
        (lambda self, x: (x.flatten(1), self.a(pooled(x))), ("conv",)),  # the first output speaks, not an auxiliary one
        (lambda self, x: {"map": x, "aux": pooled(x)}, ("conv",)),
        (lambda self, x: [pooled(x), self.a(pooled(x))], ("global_avg_pool",)),
        # what maps single numbers leaves the head what it is
        (lambda self, x: pooled(x).log_softmax(1).clamp(min=-100), ("global_avg_pool",)),
        (lambda self, x: pooled(x).softmax(1).clamp(1e-7, 1 - 1e-7).log(), ("global_avg_pool",)),
        (lambda self, x: self.a(pooled(x)).log_softmax(1).exp(), ("linear", "global_avg_pool")),
        (lambda self, x: torch.nan_to_num(pooled(x)), ("global_avg_pool",)),
        (lambda self, x: pooled(x).clip(-5).abs().pow(2).neg(), ("global_avg_pool",)),
        (lambda self, x: torch.maximum(pooled(x), torch.tensor(0.5)), ("global_avg_pool",)),
        # activations that meet again without weights between them
        (lambda self, x: pooled(x) * torch.sigmoid(pooled(x)), ("mul",)),
        (lambda self, x: (lambda y: y * torch.sigmoid(y))(self.a(pooled(x))), ("linear", "global_avg_pool")),
        (
            lambda self, x: (lambda y: y - y.logsumexp(1, keepdim=True))(self.a(pooled(x))),
            ("linear", "global_avg_pool"),
        ),
        (lambda self, x: (lambda y: y.exp() / y.exp().sum(1, keepdim=True))(pooled(x)), ("global_avg_pool",)),
        (lambda self, x: F.normalize(self.a(pooled(x))), ("linear", "global_avg_pool")),
        (lambda self, x: (lambda y: y + self.b(y).clamp(0))(pooled(x)), ("add",)),
        (lambda self, x: torch.zeros_like(pooled(x)), ("factory",)),
        (lambda self, x: self.scale.relu(), ("relu",)),
    ],
)
def test_the_head(then, head):
    assert head_of(measure(Net(then), example=IMAGE)) == head


def test_a_gate_keeps_neither_a_linear_nor_a_pooling_head():
    facts = measure(Net(lambda self, x: gated(self, x).flatten(1).log_softmax(1)), example=IMAGE)
    for kind in ("linear", "global_avg_pool"):
        (finding,) = Head(kinds=(kind,)).check(facts).findings
        assert finding.message == f"the output path ends in mul, not in {kind}"


@pytest.mark.parametrize(
    ("output", "head"),
    [
        (None, ("conv",)),
        (0, ("conv",)),
        (1, ("linear", "global_avg_pool")),
        ("aux", ("linear", "global_avg_pool")),
    ],
)
def test_the_head_of_the_output_that_is_named(output, head):
    facts = measure(Net(lambda self, x: {"map": x.relu(), "aux": self.a(pooled(x))}), example=IMAGE)
    assert head_of(facts, output) == head


@pytest.mark.parametrize(
    ("output", "says"),
    [("map", 'the model has no output "map"; its outputs are "0" and "1"'), (2, "the model has no output 2;")],
)
def test_an_output_that_is_not_there_is_named_with_those_that_are(output, says):
    facts = measure(Net(lambda self, x: (x, self.a(pooled(x)))), example=IMAGE)
    with pytest.raises(NotMeasured, match=re.escape(says)):
        Head(kinds=("linear",), output=output).check(facts)


def test_the_kept_line_says_which_convolution_is_a_linear_layer():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Flatten())
    told = "linear (a 1x1 convolution on a 1x1 map)"
    result = Head(kinds=("linear",)).check(measure(model, example=IMAGE))
    assert result.kept == f"the output path ends in {told} after global_avg_pool"


def test_many_ways_back_are_gone_once_each():
    def then(self, x):
        x = pooled(x)
        for _ in range(40):
            x = torch.cat([x.relu(), x.tanh()], 1)[:, :4]
        return x

    assert head_of(measure(Net(then), example=IMAGE)) == ("global_avg_pool",)
