"""Neighbours that undo or repeat one another: biases, activations, dropout before normalisation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import NoBiasBeforeNorm, NoDoubleActivation, NoDropoutBeforeNorm, redundancy
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(2, 1, 8, 8)
ROW = torch.zeros(2, 4)


class Calls(nn.Module):
    """Layers by name, and a forward pass that takes them."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.how = forward

    def forward(self, x):
        return self.how(self, x)


def outcome(rule, model, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


def broken(rule, model, example=IMAGE):
    return [finding.layer for finding in outcome(rule, model, example).findings]


# --- no-bias-before-norm ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "example", "found"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), IMAGE, 4),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4)), IMAGE, 4),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(4, 4)), IMAGE, 4),
        (nn.Sequential(nn.ConvTranspose2d(1, 4, 3), nn.BatchNorm2d(4)), IMAGE, 4),
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), ROW, 3),
        (Calls(lambda m, x: m.bn(m.conv(x).clone()), conv=nn.Conv2d(1, 4, 3), bn=nn.BatchNorm2d(4)), IMAGE, 4),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2)), IMAGE, 6),
        (Calls(lambda m, x: m.bn(x @ m.fc.weight.t() + m.fc.bias), fc=nn.Linear(4, 3), bn=nn.BatchNorm1d(3)), ROW, 3),
        (Calls(lambda m, x: m.bn(torch.addmm(m.fc.bias, x, m.fc.weight.t())), fc=nn.Linear(4, 3),
               bn=nn.BatchNorm1d(3)), ROW, 3),
    ],
)  # fmt: skip
def test_a_bias_without_effect(model, example, found):
    result = outcome(NoBiasBeforeNorm(), model, example)
    assert (result.verdict, result.found) == (Verdict.BROKEN, found)


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)), IMAGE),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)), IMAGE),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)), IMAGE),
        (nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), ROW),
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(5)), torch.zeros(2, 5, 4)),  # its channels are not the linear's
        (Calls(lambda m, x: m.bn(m.conv(x)) + m.conv(x), conv=nn.Conv2d(1, 4, 3), bn=nn.BatchNorm2d(4)), IMAGE),
        (Calls(lambda m, x: (m.bn(y := m.conv(x)), y), conv=nn.Conv2d(1, 4, 3), bn=nn.BatchNorm2d(4)), IMAGE),
        (Calls(lambda m, x: F.batch_norm(m.conv(x), m.bn.running_mean, m.bn.running_var), conv=nn.Conv2d(1, 4, 3),
               bn=nn.BatchNorm2d(4)), IMAGE),
        (nn.ReLU(), IMAGE),
    ],
)  # fmt: skip
def test_a_bias_that_has_its_effect(model, example):
    assert outcome(NoBiasBeforeNorm(), model, example).verdict is Verdict.KEPT


def test_a_normalisation_of_rows_subtracts_no_bias_of_channels():
    rows = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm1d(6))  # of an image without a batch: axis 1 is its height
    assert outcome(NoBiasBeforeNorm(), rows, IMAGE[0]).verdict is Verdict.KEPT
    channels = nn.Sequential(nn.Conv2d(1, 6, 3), nn.InstanceNorm2d(6))
    assert outcome(NoBiasBeforeNorm(), channels, IMAGE).found == 6


def test_a_bias_that_two_calls_share_is_one():
    model = Calls(lambda m, x: m.bn(m.fc(m.bn(m.fc(x)))), fc=nn.Linear(4, 4), bn=nn.BatchNorm1d(4))
    assert outcome(NoBiasBeforeNorm(), model, ROW).found == 4


# --- no-double-activation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([nn.ReLU(), nn.ReLU()], "`2` (ReLU) is applied to what `1` (ReLU) gave: relu directly after relu"),
        ([nn.Tanh(), nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.Dropout(0.1), nn.GELU()], "gelu directly after tanh"),
        ([nn.Softmax(1), nn.LogSoftmax(1)], "log_softmax after softmax"),
        ([nn.LogSoftmax(1), nn.Softmax(1)], "softmax directly after log_softmax"),
    ],
)
def test_an_activation_of_an_activation(layers, says):
    found = outcome(NoDoubleActivation(), nn.Sequential(nn.Linear(4, 4), *layers), ROW)
    assert found.verdict is Verdict.BROKEN
    assert found.summary.endswith(says)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: torch.relu(m.fc(torch.relu(x))),
        lambda m, x: x * torch.tanh(F.softplus(x)),
        lambda m, x: torch.relu(1 - torch.relu(x)),
        lambda m, x: F.softmax(torch.relu(x), 1),
        lambda m, x: x.unflatten(1, (2, 2)).softmax(1).softmax(2),
        lambda m, x: torch.relu(x + torch.sigmoid(x)),
    ],
)
def test_an_activation_of_something_else(forward):
    assert outcome(NoDoubleActivation(), Calls(forward, fc=nn.Linear(4, 4)), ROW).verdict is Verdict.KEPT


def test_no_activation_at_all_keeps_a_prohibition():
    assert outcome(NoDoubleActivation(), nn.Linear(4, 4), ROW).verdict is Verdict.KEPT


# --- no-dropout-before-norm ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (nn.Sequential(nn.Dropout(0.1), nn.BatchNorm2d(1)), ["0"]),
        (nn.Sequential(nn.Dropout2d(0.1), nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(1)), ["0"]),
        (nn.Sequential(nn.Dropout(0.1), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), []),
        (nn.Sequential(nn.Dropout(0.0), nn.BatchNorm2d(1)), []),
        (nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.1)), []),
        (nn.Sequential(nn.Dropout(0.1), nn.InstanceNorm2d(1)), []),
        (Calls(lambda m, x: m.bn(F.dropout(x, 0.1)), bn=nn.BatchNorm2d(1)), []),  # on in evaluation, too: no shift
        (Calls(lambda m, x: m.bn(F.dropout(x, 0.1, m.training)), bn=nn.BatchNorm2d(1)), [""]),
    ],
)
def test_dropout_before_batch_norm(model, layers):
    assert broken(NoDropoutBeforeNorm(), model) == layers


# --- on -----------------------------------------------------------------------------------------------------


class Faulty(nn.Module):
    """Each fault once in `a` and once in `b`."""

    def __init__(self):
        super().__init__()
        self.a = self._faults(1)
        self.b = self._faults(4)

    def _faults(self, channels):
        return nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ReLU(), nn.Dropout(0.1), nn.BatchNorm2d(4)
        )

    def forward(self, x):
        return self.b(self.a(x))


@pytest.mark.parametrize(
    ("rule", "kind", "layer_type", "path"),
    [
        (NoBiasBeforeNorm, "conv", "Conv2d", "0"),
        (NoDoubleActivation, "relu", "ReLU", "3"),
        (NoDropoutBeforeNorm, "dropout", "Dropout", "4"),
    ],
)
def test_on_by_path_type_and_kind(rule, kind, layer_type, path):
    both = [f"a.{path}", f"b.{path}"]
    assert broken(rule(), Faulty()) == both
    assert broken(rule(on=kind), Faulty()) == both
    assert broken(rule(on=layer_type), Faulty()) == both
    assert broken(rule(on="b.**"), Faulty()) == both[1:]
    assert broken(rule(on="linear", allow_empty=True), Faulty()) == []
    assert outcome(rule(on="c.**"), Faulty()).verdict is Verdict.ERROR


# --- what is said of two in a row, and how often a way is gone --------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (lambda m, x: F.log_softmax(x.softmax(1).clone(), 1), "log_softmax after softmax"),
        (lambda m, x: x.softmax(1).softmax(1), "softmax directly after softmax"),
        (lambda m, x: F.log_softmax(F.log_softmax(x, 1), 1), "log_softmax directly after log_softmax"),
    ],
)
def test_softmax_over_softmax_is_told_apart(forward, says):
    (finding,) = outcome(NoDoubleActivation(), Calls(forward), ROW).findings
    assert finding.message.endswith(f": {says}")
    assert (finding.fix == "keep one of the two") is ("directly" in says)


class Counted(dict):
    """Readers that count how often they are asked for."""

    asked = 0

    def get(self, *args):
        type(self).asked += 1
        return super().get(*args)


def test_every_way_from_a_dropout_is_gone_once(monkeypatch):
    def forward(m, x):
        x = m.drop(x)
        for _ in range(14):
            x = torch.cat([x.relu(), x.tanh()], 1)[:, :4]
        return x

    consumers = redundancy.consumers
    monkeypatch.setattr(redundancy, "consumers", lambda ops: Counted(consumers(ops)))
    assert broken(NoDropoutBeforeNorm(), Calls(forward, drop=nn.Dropout(0.5)), ROW) == []
    assert 14 < Counted.asked < 100
