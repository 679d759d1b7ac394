"""`followed-by`: position and exemptions, on every path of a network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import FollowedBy, Requires
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(1, 1, 12, 12)


def judge(model, *rules):
    return check(model, example=IMAGE, rules=rules)


def verdict(model, rule):
    return judge(model, rule).outcomes[0].verdict


def message(model, rule):
    return judge(model, rule).outcomes[0].summary


def five_convs(*normed: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(5):
        layers.append(nn.Conv2d(1 if index == 0 else 4, 4, 3, padding=1))
        if index in normed:
            layers.append(nn.BatchNorm2d(4))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def test_one_batch_norm_after_one_of_five_convs():
    report = judge(five_convs(2), Requires(kinds=("batch_norm",)), FollowedBy(layer="conv", by="batch_norm"))
    assert report.outcomes[0].verdict is Verdict.KEPT
    assert report.outcomes[1].verdict is Verdict.BROKEN
    assert len(report.outcomes[1].findings) == 4
    assert report.outcomes[1].found == 1


def test_batch_norm_after_every_conv():
    assert verdict(five_convs(0, 1, 2, 3, 4), FollowedBy(layer="conv", by="batch_norm")) is Verdict.KEPT


# --- position and exemptions --------------------------------------------------------------------------------


def test_batch_norm_after_the_activation_is_before_weights_but_not_direct():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
    assert verdict(model, FollowedBy(layer="conv", by="batch_norm")) is Verdict.KEPT
    direct = FollowedBy(layer="conv", by="batch_norm", position="direct")
    assert message(model, direct) == "`0` (Conv2d) is followed by relu, not by batch_norm"


def test_batch_norm_may_stand_behind_pooling_and_dropout():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Dropout(0.1), nn.BatchNorm2d(4))
    assert verdict(model, FollowedBy(layer="conv", by="batch_norm")) is Verdict.KEPT


def test_another_conv_may_not_stand_between():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    assert message(model, FollowedBy(layer="conv", by="batch_norm")).startswith("`0` (Conv2d) is followed by conv")


@pytest.mark.parametrize("exempt", [("last",), ("1x1",), ("2",), ("Conv2d",)])
def test_the_last_a_pointwise_or_a_named_conv_may_be_exempt(exempt):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    assert verdict(model, FollowedBy(layer="conv", by="batch_norm")) is Verdict.BROKEN
    rule = FollowedBy(layer="conv", by="batch_norm", exempt=exempt, allow_empty=True)
    assert verdict(model, rule) is Verdict.KEPT


def test_every_path_counts_not_only_one():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.conv(x)
            return self.bn(x) + x

    assert "is followed by add" in message(Skip(), FollowedBy(layer="conv", by="batch_norm"))


def test_densely_connected_layers_meet_batch_norm_behind_the_concatenation():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.bn = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(8)

        def forward(self, x):
            return self.bn(torch.cat([self.a(x), self.b(x)], 1))

    assert verdict(Dense(), FollowedBy(layer="conv", by="batch_norm")) is Verdict.KEPT


@pytest.mark.parametrize(
    "activation",
    [
        lambda x: x * torch.sigmoid(x),
        lambda x: x * F.relu6(x + 3) / 6,
        lambda x: x.clamp(0, 6),
        lambda x: torch.max(x, torch.tensor(0.0)),
        lambda x: torch.where(x > 0, x, 0.1 * x),
        lambda x: x * torch.tanh(F.softplus(x)),
    ],
)
def test_an_activation_spelled_by_hand_may_stand_between(activation):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.bn(activation(self.conv(x)))

    rule = FollowedBy(layer="conv", by="batch_norm")
    (outcome,) = check(Net(), example=torch.zeros(1, 1, 8, 8), rules=[rule]).outcomes
    assert outcome.verdict is Verdict.KEPT, outcome.summary


def test_a_gate_from_another_branch_may_not():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.gate, self.bn = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            return self.bn(self.conv(x) * torch.sigmoid(self.gate(x)))

    (outcome,) = check(
        Net(), example=torch.zeros(1, 1, 8, 8), rules=[FollowedBy(layer="conv", by="batch_norm")]
    ).outcomes
    assert outcome.verdict is Verdict.BROKEN
    assert len(outcome.findings) == 2


class SpelledRelu(nn.Module):
    """A convolution, what `spelled` makes of its result, and a normalisation."""

    def __init__(self, spelled):
        super().__init__()
        self.conv, self.norm, self.spelled = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), [spelled]

    def forward(self, x):
        return self.norm(self.spelled[0](self.conv(x)))


@pytest.mark.parametrize(
    ("spelled", "verdict"),
    [
        (lambda y: torch.maximum(y, torch.zeros_like(y)), Verdict.KEPT),
        (lambda y: torch.where(y > 0, y, torch.zeros_like(y)), Verdict.KEPT),
        (lambda y: y + torch.randn_like(y), Verdict.BROKEN),
        (lambda y: torch.zeros_like(y), Verdict.BROKEN),
    ],
)
def test_what_reads_a_shape_alone_follows_nothing(spelled, verdict):
    rule = FollowedBy(layer="conv", by="batch_norm")
    report = check(SpelledRelu(spelled), example=torch.zeros(1, 1, 8, 8), rules=[rule])
    assert report.outcomes[0].verdict is verdict, report.outcomes[0].summary
