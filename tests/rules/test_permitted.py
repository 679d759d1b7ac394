"""`allows`, `kernel-sizes` and `multiple-of`: what operations may be, on networks with hand-written kinds and views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import Allows, Forbids, KernelSizes, MultipleOf
from archcheck.rules.findings import Verdict

IMAGE, SEQUENCE = torch.randn(2, 3, 16, 16), torch.randn(2, 5, 8)


def outcome(model, rule, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


class Run(nn.Module):
    """Layers by name, and what `forward` does with them."""

    def __init__(self, then, **layers):
        super().__init__()
        self.then = then
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *given):
        return self.then(self, *given)


def projected(then):
    return Run(then, q=nn.Linear(8, 8), k=nn.Linear(8, 8), v=nn.Linear(8, 8))


def plain(self, x):
    return (self.q(x) @ self.k(x).transpose(1, 2) / 8**0.5).softmax(-1) @ self.v(x)


def masked(self, x):
    scores = torch.einsum("bqd,bkd->bqk", self.q(x) * 0.3, self.k(x))
    scores = scores.masked_fill(torch.ones(5, 5).tril() == 0, float("-inf"))
    return F.dropout(scores.softmax(-1), 0.1, self.training) @ self.v(x)


def by_hand(self, x):
    scores = self.q(x) @ self.k(x).transpose(1, 2)
    weights = torch.exp(scores - scores.max(-1, keepdim=True).values)
    return torch.einsum("bqk,bkd->bqd", weights / weights.sum(-1, keepdim=True), self.v(x))


def fused(self, x):
    return F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))


@pytest.mark.parametrize("then", [plain, masked, by_hand, fused])
def test_an_attention_is_allowed_however_it_is_written(then):
    found = outcome(projected(then), Allows(kinds=("linear", "attention", "reshape", "dropout")), SEQUENCE)
    assert found.verdict is Verdict.KEPT, [finding.message for finding in found.findings]


@pytest.mark.parametrize("then", [plain, masked, by_hand])
def test_the_parts_of_an_attention_are_allowed_one_by_one(then):
    found = outcome(projected(then), Allows(kinds=("linear", "attention", "reshape")), SEQUENCE)
    assert found.verdict is Verdict.KEPT
    found = outcome(projected(then), Allows(kinds=("linear", "softmax", "reshape", "dropout")), SEQUENCE)
    assert any("executes attention" in finding.message for finding in found.findings)


def test_products_outside_an_attention_need_permission():
    model = projected(lambda self, x: plain(self, x) @ self.q(x).transpose(1, 2))
    found = outcome(model, Allows(kinds=("linear", "attention", "reshape")), SEQUENCE)
    assert "executes matmul, which is not allowed" in found.findings[0].message
    assert len(found.findings) == 1


def test_a_hand_written_norm_is_allowed_as_the_norm_it_is():
    def norm(self, x):
        x = self.conv(x)
        mean, deviation = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True)
        return (x - mean) / (deviation + 1e-5).sqrt()

    model = Run(norm, conv=nn.Conv2d(3, 4, 3))
    assert outcome(model, Allows(kinds=("conv", "norm"))).verdict is Verdict.KEPT
    assert outcome(model, Allows(kinds=("conv", "batch_norm"))).verdict is Verdict.BROKEN


def test_what_depends_on_neither_input_nor_weights_needs_no_permission():
    model = Run(lambda self, x: self.fc(x) + torch.arange(8.0).cos() * 2, fc=nn.Linear(8, 8))
    assert outcome(model, Allows(kinds=("linear", "add")), SEQUENCE).verdict is Verdict.KEPT
    for made in (lambda x, _: torch.ones_like(x).cumsum(1), lambda _, w: torch.zeros_like(w)[0].cos()):
        model = Run(lambda self, x, made=made: self.fc(x) + made(x, self.fc.weight), fc=nn.Linear(8, 8))
        assert outcome(model, Allows(kinds=("linear", "add")), SEQUENCE).verdict is Verdict.KEPT
    zeros = Run(lambda self, x: self.fc(x) + (x * 0).cos(), fc=nn.Linear(8, 8))
    assert "executes mul" in outcome(zeros, Allows(kinds=("linear", "add")), SEQUENCE).summary
    noisy = Run(lambda self, x: self.fc(x) + torch.randn(8), fc=nn.Linear(8, 8))
    assert "executes random" in outcome(noisy, Allows(kinds=("linear", "add")), SEQUENCE).summary
    scaled = Run(lambda self, x: F.linear(x, self.fc.weight.tanh()), fc=nn.Linear(8, 8))
    assert "executes tanh" in outcome(scaled, Allows(kinds=("linear",)), SEQUENCE).summary


def test_layers_and_operators_give_permission_by_name():
    model = Run(lambda self, x: self.gate(x).cumsum(1), gate=nn.Sequential(nn.Linear(8, 8), nn.Hardswish()))
    assert outcome(model, Allows(kinds=("gate.**", "aten::cumsum")), SEQUENCE).verdict is Verdict.KEPT
    assert outcome(model, Allows(kinds=("Sequential", "aten::cumsum")), SEQUENCE).verdict is Verdict.KEPT
    found = outcome(model, Allows(kinds=("Linear", "aten::cumprod")), SEQUENCE)
    assert [finding.fix.rpartition("add ")[2] for finding in found.findings] == [
        "hardswish to allows",
        "aten::cumsum to allows",
    ]


def test_an_operator_is_forbidden_by_its_full_name():
    model = Run(lambda self, x: x.cumsum(1))
    assert outcome(model, Forbids(kinds=("aten::cumsum",)), SEQUENCE).verdict is Verdict.BROKEN
    assert outcome(model, Forbids(kinds=("aten::cumprod",)), SEQUENCE).verdict is Verdict.KEPT


def test_training_counts_for_what_is_allowed():
    model = Run(lambda self, x: self.fc(x).tanh() if self.training else self.fc(x), fc=nn.Linear(8, 8))
    found = outcome(model, Allows(kinds=("linear",)), SEQUENCE)
    assert (found.verdict, found.findings[0].message.split(" executes ")[1]) == (
        Verdict.BROKEN,
        "tanh, which is not allowed",
    )


def test_a_misspelt_word_is_refused_and_a_misspelt_place_is_an_error():
    with pytest.raises(ValueError, match='"conf" is not a kind; did you mean "conv"'):
        Allows(kinds=("conf",))
    assert outcome(nn.ReLU(), Allows(kinds=("relu",), on="encoder.**")).verdict is Verdict.ERROR


def test_kernels_are_those_that_run():
    def forward(self, x):
        x = F.conv2d(x, torch.ones(4, 3, 5, 5))
        return self.up(self.pool(x))

    model = Run(forward, pool=nn.MaxPool2d(2), up=nn.ConvTranspose2d(4, 2, 2), unused=nn.Conv2d(3, 3, 7))
    assert outcome(model, KernelSizes(sizes=(2, 5))).verdict is Verdict.KEPT
    assert [f.layer for f in outcome(model, KernelSizes(sizes=(5,))).findings] == ["up"]
    assert outcome(model, KernelSizes(sizes=(3,), on="max_pool")).summary.startswith("`pool` (MaxPool2d) has a kernel")


def test_an_unfolded_convolution_has_a_kernel_and_dilation_does_not_change_one():
    unfolded = Run(
        lambda self, x: self.fc(F.unfold(x, 3).transpose(1, 2)).transpose(1, 2),
        fc=nn.Linear(27, 4),
    )
    assert outcome(unfolded, KernelSizes(sizes=(1,))).verdict is Verdict.BROKEN
    assert outcome(nn.Conv2d(3, 4, 3, dilation=2), KernelSizes(sizes=(3,))).verdict is Verdict.KEPT
    assert outcome(nn.Conv1d(3, 4, 3), KernelSizes(sizes=((3,),)), torch.randn(1, 3, 9)).verdict is Verdict.KEPT


@pytest.mark.parametrize("sizes", [(), (0,), ((3, 0),), ((),)])
def test_sizes_that_no_kernel_has_are_refused(sizes):
    with pytest.raises(ValueError, match="`sizes` must hold kernel sizes of at least 1"):
        KernelSizes(sizes=sizes)


def test_channels_of_input_and_output_are_given_and_those_between_count():
    def two_heads(self, x):
        x = self.body(x).relu()
        return self.a(x), self.b(x.mean((2, 3)))

    model = Run(two_heads, body=nn.Conv2d(3, 16, 3), a=nn.Conv2d(16, 5, 1), b=nn.Linear(16, 7))
    assert outcome(model, MultipleOf(channels=8)).verdict is Verdict.KEPT
    assert (
        outcome(model, MultipleOf(channels=32)).summary == "`body` (Conv2d) has 16 output channels, no multiple of 32"
    )


def test_linear_and_hand_written_layers_have_channels_and_products_of_activations_have_none():
    model = Run(
        lambda self, x: self.fc(x @ x.transpose(1, 2) @ F.linear(x, self.plain.weight)),
        plain=nn.Linear(8, 6),
        fc=nn.Linear(6, 3),
    )
    found = outcome(model, MultipleOf(channels=4), SEQUENCE)
    assert [finding.message.rpartition(" has ")[2] for finding in found.findings] == [
        "6 output channels, no multiple of 4"
    ]
    with pytest.raises(ValueError, match="must be at least 2"):
        MultipleOf(channels=1)
