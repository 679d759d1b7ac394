"""`followed-by` along paths and blocks, and what only training mode would tell."""

from __future__ import annotations

import torch
from torch import nn

from archcheck.judging.engine import check
from archcheck.rules import FollowedBy, NoUnusedParams
from archcheck.rules.findings import Verdict
from archcheck.rules.queries import paths

IMAGE = torch.zeros(1, 1, 12, 12)
BEFORE_WEIGHTS = FollowedBy(layer="conv", by="batch_norm")


class Net(nn.Module):
    def __init__(self, then):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.then = then

    def forward(self, x):
        return self.then(self, self.conv(x))


def outcome(model, rule, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


# --- followed-by --------------------------------------------------------------------------------------------


def test_a_result_that_is_an_output_itself_is_followed_by_nothing_else():
    found = outcome(Net(lambda self, x: (self.bn(x), x)), BEFORE_WEIGHTS)
    assert found.summary == "`conv` (Conv2d) is followed by the output, not by batch_norm"
    assert outcome(Net(lambda self, x: (self.bn(x), x.relu())), BEFORE_WEIGHTS).verdict is Verdict.BROKEN
    assert outcome(Net(lambda self, x: self.bn(x)), BEFORE_WEIGHTS).verdict is Verdict.KEPT


def test_many_paths_are_followed_once_each(monkeypatch):
    def then(self, x):
        for _ in range(14):
            x = torch.cat([x.relu(), x.tanh()], 1)[:, :4]
        return self.bn(x)

    looked, selects = [], paths.selects
    monkeypatch.setattr(paths, "selects", lambda *args: looked.append(args) or selects(*args))
    assert outcome(Net(then), BEFORE_WEIGHTS).verdict is Verdict.KEPT
    assert len(looked) < 100


class Blk(nn.Sequential):
    pass


def blocks(*between):
    return nn.Sequential(
        Blk(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)),
        *between,
        Blk(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)),
        nn.BatchNorm2d(4),
    )


def test_what_follows_a_block_follows_its_last_operation():
    rule = FollowedBy(layer="Blk", by="batch_norm")
    assert outcome(blocks(), rule).summary == "`0.2` (Conv2d) is followed by conv, not by batch_norm"
    kept = outcome(blocks(nn.BatchNorm2d(4)), rule)
    assert kept.verdict is Verdict.KEPT
    assert kept.found == 2


def test_a_block_that_is_an_output_is_followed_by_nothing():
    model = nn.Sequential(nn.BatchNorm2d(1), Blk(nn.Conv2d(1, 4, 3), nn.ReLU()))
    assert "is followed by the output" in outcome(model, FollowedBy(layer="Blk", by="batch_norm")).summary


def test_a_result_inside_a_block_that_is_an_output_leaves_the_block():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            x = self.a(x)
            return x, self.b(x)

    model = nn.ModuleList([Both(), nn.BatchNorm2d(4)])
    model.forward = lambda x: [part(y) for part, y in zip((nn.Identity(), model[1]), model[0](x), strict=True)]
    found = outcome(model, FollowedBy(layer="Both", by="batch_norm"))
    assert found.summary == "`0.a` (Conv2d) is followed by the output, not by batch_norm"


def test_a_layer_that_runs_twice_in_a_row_is_followed_by_itself():
    twice = nn.Conv2d(1, 1, 3)
    model = nn.Sequential(twice, twice, nn.BatchNorm2d(1))
    found = outcome(model, FollowedBy(layer="Conv2d", by="batch_norm"))
    assert found.summary == "`0` (Conv2d) is followed by conv, not by batch_norm"


def test_a_convolution_that_pads_by_an_operation_is_one_layer():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(4))
    assert outcome(model, FollowedBy(layer="Conv2d", by="batch_norm", position="direct")).verdict is Verdict.KEPT


# --- no-unused-params ---------------------------------------------------------------------------------------


class WantsTargets(nn.Module):
    """Uses `extra` in training only, where it asks for what the example does not hold."""

    def __init__(self):
        super().__init__()
        self.used, self.extra = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        if self.training:
            raise ValueError("no targets")
        return self.used(x)


def test_without_the_graph_of_training_no_parameter_is_called_idle():
    found = outcome(WantsTargets(), NoUnusedParams(), torch.zeros(1, 2))
    assert found.verdict is Verdict.ERROR
    assert "no targets" in found.summary
    assert outcome(WantsTargets(), NoUnusedParams(on="used"), torch.zeros(1, 2)).verdict is Verdict.KEPT
