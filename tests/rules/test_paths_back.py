"""`preceded-by` and `followed-by` along arithmetic that is spelled by hand, and along very many paths."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archcheck.judging.engine import check, measure
from archcheck.rules import FollowedBy, PrecededBy, Requires
from archcheck.rules.findings import Verdict
from archcheck.rules.queries import paths
from archcheck.rules.queries.effects import effective

ROW = torch.zeros(2, 4)


class Net(nn.Module):
    def __init__(self, then):
        super().__init__()
        self.first, self.act, self.last, self.norm = nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.half = torch.full((4,), 0.5)
        self.then = then

    def forward(self, x):
        return self.then(self, self.first(x))


def outcome(rule, then):
    return check(Net(then), example=ROW, rules=[rule]).outcomes[0]


def gated(x):
    return x * torch.sigmoid(x)


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        (lambda net, x: net.last(gated(net.act(x))), Verdict.KEPT),
        (lambda net, x: net.last(gated(x)), Verdict.BROKEN),
    ],
)
def test_a_type_of_layer_stands_before_arithmetic_of_its_own_result(then, verdict):
    assert outcome(PrecededBy(layer="last*", by="ReLU"), then).verdict is verdict


def zigzag(x):
    for _ in range(14):
        x = torch.cat([x.relu(), x.tanh()], 1)[:, :4]
    return x


def spelled(x):
    for _ in range(14):
        x = x.relu() + x.tanh()
    return x


@pytest.mark.parametrize("many", [zigzag, spelled])
def test_many_paths_back_are_gone_once_each(many, monkeypatch):
    looked, selects = [], paths.selects
    monkeypatch.setattr(paths, "selects", lambda *args: looked.append(args) or selects(*args))
    rule = PrecededBy(layer="last*", by="batch_norm")
    assert outcome(rule, lambda net, x: net.last(many(net.norm(x)))).verdict is Verdict.KEPT
    assert len(looked) < 1_000


@pytest.mark.parametrize(
    "other",
    [
        lambda net, x: torch.zeros(4),
        lambda net, x: torch.zeros_like(x),
        lambda net, x: torch.tensor(0.5),
        lambda net, x: net.half,
    ],
)
def test_arithmetic_with_numbers_may_stand_between(other):
    rule = FollowedBy(layer="first*", by="batch_norm")
    assert outcome(rule, lambda net, x: net.norm(torch.maximum(x, other(net, x)))).verdict is Verdict.KEPT
    joined = outcome(rule, lambda net, x: net.norm(torch.maximum(x, net.last(torch.ones(2, 4)))))
    assert joined.summary == "`first` (Linear) is followed by maximum, not by batch_norm"


# --- what evaluation has and training does not ----------------------------------------------------------------------


def test_a_normalisation_in_evaluation_only_is_none_and_other_layers_are():
    def then(net, x):
        return x if net.training else net.norm(net.last(x))

    found = outcome(Requires(kinds=("batch_norm",)), then)
    assert found.verdict is Verdict.BROKEN
    assert "takes part in evaluation only, not in training" in " ".join(each.message for each in found.findings)
    facts = measure(Net(lambda net, x: net.norm(x)), example=ROW)
    assert not Requires(kinds=("batch_norm", "linear")).check(facts).findings
    calls = [op.layer for op in effective(measure(Net(then), example=ROW), "linear")]
    assert calls == ["first", "last"]
