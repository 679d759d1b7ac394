"""Values that code reads in training: they are taken from a real pass, not made up."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archcheck.judging.engine import check, measure
from archcheck.rules import MaxTrainingMacs, NoUnusedLayers, Requires
from archcheck.rules.findings import Verdict

X = torch.rand(4, 10)


class Net(nn.Module):
    """Does something more in training where `when` holds of its activations."""

    def __init__(self, when, then):
        super().__init__()
        self.first, self.last = nn.Linear(10, 10), nn.Linear(10, 10)
        self.extra, self.drop = nn.Linear(10, 10), nn.Dropout(0.5)
        self.when, self.then = [when], [then]

    def forward(self, x):
        x = self.first(x)
        if self.training and self.when[0](x):
            x = self.then[0](self, x)
        return self.last(x)


def drops(model, x):
    return model.drop(x)


def drops_more(model, x):
    return model.drop(model.extra(x))


ALWAYS = [
    lambda x: torch.isfinite(x).all(),
    lambda x: x.abs().mean().item() > 0,
    lambda x: x.std() > 0,
    lambda x: x.shape[0] == x.isnan().logical_not().any(1).sum(),
    lambda x: not torch.equal(x, torch.zeros_like(x)),
]
NEVER = [
    lambda x: x.abs().mean().item() == 0,
    lambda x: x.isnan().any(),
    lambda x: bool(x.max() < x.min()),
    lambda x: torch.allclose(x, torch.full_like(x, 7.0)),
    lambda x: len(x.nonzero()) == 0,
]


@pytest.mark.parametrize("when", ALWAYS)
def test_a_dropout_that_always_runs_is_kept(when):
    outcome = check(Net(when, drops), example=X, rules=[Requires(kinds=("dropout",))]).outcomes[0]
    assert outcome.verdict is Verdict.KEPT, outcome.findings


@pytest.mark.parametrize("when", NEVER)
def test_a_dropout_that_never_runs_is_none(when):
    outcome = check(Net(when, drops), example=X, rules=[Requires(kinds=("dropout",))]).outcomes[0]
    assert outcome.verdict is Verdict.BROKEN


@pytest.mark.parametrize("when", ALWAYS)
def test_what_runs_in_training_alone_is_used_and_costs(when):
    rules = [NoUnusedLayers(), MaxTrainingMacs(limit=3_200)]
    outcomes = check(Net(when, drops_more), example=X, rules=rules).outcomes
    assert [outcome.verdict for outcome in outcomes] == [Verdict.KEPT, Verdict.KEPT]
    assert outcomes[1].found == 3_200  # 1,200 forwards; the first layer needs no gradient of its input


def test_what_reads_no_value_is_measured_by_shapes_in_training():
    facts = measure(nn.Sequential(nn.Linear(10, 10), nn.BatchNorm1d(10), nn.Dropout(0.1)), example=X)
    assert not any("real tensors" in note for note in facts.subject.notes)


def test_who_asks_for_no_confirmation_is_told_so():
    facts = measure(Net(ALWAYS[0], drops), example=X, confirm=False)
    assert "not confirmed on real numbers, as asked" in facts.subject.notes
    assert not any("not confirmed" in note for note in measure(nn.Linear(10, 2), example=X).subject.notes)
