"""What rules say of a part of a model (`on`), of one of several kinds, and of what runs in one mode only."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from archcheck.foundation.errors import NotMeasured
from archcheck.judging.engine import measure
from archcheck.rules import FollowedBy, Forbids, MaxParams, NoHiddenWeights, NoPadding, Requires, RequiresAny
from archcheck.rules.queries import scope
from archcheck.rules.queries.graphs import dependent_on_input
from tests.measure.networks import Apply

ROWS, IMAGE = torch.rand(2, 8), torch.rand(1, 3, 8, 8)


def judged(rule, model, example=ROWS):
    """Return whether the rule finds nothing, of something that it did examine."""
    result = rule.check(measure(model, example=example))
    assert result.examined
    return not result.findings


def leak(self, x):
    """A dropout whose result reaches no output, beside a linear layer."""
    self.drop(x)
    return self.fc(x)


def test_one_kind_that_takes_effect_is_enough():
    good = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
    assert judged(RequiresAny(kinds=("dropout", "lstm")), good)
    assert judged(RequiresAny(kinds=("lstm", "dropout")), good)
    leaking = Apply(leak, fc=nn.Linear(8, 2), drop=nn.Dropout(0.1))
    assert judged(RequiresAny(kinds=("dropout", "linear")), leaking)
    assert not judged(RequiresAny(kinds=("dropout", "lstm")), leaking)


def test_what_runs_in_evaluation_only_is_there():
    model = Apply(lambda self, x: x * 2 if self.training else self.fc(x), fc=nn.Linear(8, 8))
    assert not judged(Forbids(kinds=("linear",)), model)


def test_a_type_of_layers_can_be_forbidden():
    assert not judged(Forbids(kinds=("Linear",)), nn.Sequential(nn.Linear(8, 8)))
    assert not Forbids(kinds=("Linear",)).check(measure(nn.Sequential(nn.ReLU()), example=ROWS)).findings


def test_a_missing_type_of_layers_is_said_to_be_missing():
    result = Requires(kinds=("BatchNorm1d",)).check(measure(nn.Sequential(nn.Linear(8, 8)), example=ROWS))
    assert [finding.message for finding in result.findings] == ["the model executes no BatchNorm1d"]


def test_a_part_needs_its_own_dropout():
    halves = nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1)))
    assert not judged(Requires(kinds=("dropout",), on="0"), halves)
    assert judged(Requires(kinds=("dropout",), on="1"), halves)


def test_a_leak_outside_of_the_part_is_nothing_to_it():
    good = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
    model = Apply(lambda self, x: leak(self, self.good(x)), good=good, fc=nn.Linear(8, 2), drop=nn.Dropout(0.1))
    assert judged(Requires(kinds=("dropout",), on="good"), model)
    assert judged(RequiresAny(kinds=("dropout",), on="good"), model)


def test_a_dropout_on_in_evaluation_outside_of_the_part_is_nothing_to_it():
    good = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
    model = Apply(lambda self, x: F.dropout(self.fc(self.good(x)), 0.2), good=good, fc=nn.Linear(8, 2))
    for rule in (Requires, RequiresAny):
        assert not judged(rule(kinds=("dropout",)), model)
        assert judged(rule(kinds=("dropout",), on="good"), model)


def test_none_of_several_kinds_is_looked_for_in_its_part_alone():
    model = Apply(lambda self, x: (self.norm(x), self.fc(x))[1], fc=nn.Linear(8, 2), norm=nn.BatchNorm1d(8))
    facts = measure(model, example=ROWS)

    def says(on):
        return [finding.message for finding in RequiresAny(kinds=("batch_norm", "lstm"), on=on).check(facts).findings]

    hint = ": `norm` (BatchNorm1d) runs, but its result reaches no output"
    assert says(None) == says("norm") == [f"none of batch_norm, lstm takes effect{hint}"]
    assert says("fc") == ["`fc` executes none of batch_norm, lstm"]
    nowhere = RequiresAny(kinds=("batch_norm", "lstm"), on="none", allow_empty=True).check(facts)
    assert (nowhere.examined, nowhere.limit) == (0, ["batch_norm", "lstm"])


def test_a_part_that_there_is_not_is_said_to_be_none():
    with pytest.raises(NotMeasured, match='`on` = "zzz" selects nothing; no layer and no operation of the model has'):
        Forbids(kinds=("linear",), on="zzz").check(measure(nn.Sequential(nn.Linear(8, 8)), example=ROWS))


def test_weights_hidden_in_another_part_are_nothing_to_this_one():
    filtered = Apply(lambda self, x: F.linear(x, self.weight))
    filtered.register_buffer("weight", torch.randn(9, 8))
    model = Apply(lambda self, x: self.fc(self.filtered(x)), filtered=filtered, fc=nn.Linear(9, 2))
    assert not judged(NoHiddenWeights(), model)
    assert judged(NoHiddenWeights(on="fc"), model)


def test_parameters_that_a_kind_reads_are_those_of_its_own_calls():
    model = Apply(lambda self, x: F.linear(F.linear(x, self.one), self.two).relu() * self.scale)
    model.one, model.two = nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.randn(2, 4))
    model.scale = nn.Parameter(torch.ones(2))
    result = MaxParams(limit=39, on="linear").check(measure(model, example=ROWS))
    assert result.found == 40  # 8 x 4 and 4 x 2, without the scale
    assert result.findings


def test_a_network_that_refuses_training_proves_nothing_there():
    def evaluated(self, x):
        if self.training:
            raise RuntimeError("it is finished")
        return self.fc(x)

    facts = measure(Apply(evaluated, fc=nn.Linear(8, 2)), example=ROWS)
    with pytest.raises(NotMeasured, match="it is finished"):
        Requires(kinds=("dropout",)).check(facts)
    assert not Requires(kinds=("linear",)).check(facts).findings  # which evaluation shows


def test_a_dropout_of_a_parameter_takes_effect():
    model = Apply(lambda self, x: F.linear(x, F.dropout(self.weight, 0.3, self.training)))
    model.weight = nn.Parameter(torch.randn(8, 8))
    assert judged(Requires(kinds=("dropout",)), model)


def averaged(draws):
    def forward(self, x):
        return sum(F.dropout(x, 0.3, self.training) for _ in range(draws)) / draws

    return Apply(forward)


def test_a_dropout_drawn_so_often_that_it_averages_out_has_no_effect():
    assert judged(Requires(kinds=("dropout",)), averaged(29))
    assert not judged(Requires(kinds=("dropout",)), averaged(30))


def test_a_layer_without_a_kernel_is_not_exempt_as_1x1():
    rule = FollowedBy(layer="linear", by="batch_norm", exempt=("1x1",))
    assert not judged(rule, nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    assert judged(rule, nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)))


def test_only_the_word_1x1_exempts_by_the_kernel_and_no_path():
    named = nn.Sequential(OrderedDict({"1x1": nn.Conv2d(3, 4, 3), "act": nn.ReLU()}))
    rule = FollowedBy(layer="conv", by="batch_norm", exempt=("1x1",))
    assert not judged(rule, named, IMAGE)
    assert judged(FollowedBy(layer="conv", by="relu", exempt=("1x1",)), named, IMAGE)
    pointwise = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    assert not rule.check(measure(pointwise, example=IMAGE)).findings


def test_weights_that_a_part_borrows_are_not_its_own():
    class Borrowing(nn.Module):
        def forward(self, x, weight):
            return F.linear(x, weight)

    model = Apply(lambda self, x: self.a(self.b(x), self.b.weight), a=Borrowing(), b=nn.Linear(8, 8))
    facts = measure(model, example=ROWS)
    assert MaxParams(limit=1, on="a").check(facts).found == 0
    assert MaxParams(limit=1, on="linear").check(facts).found == 72


def test_what_nobody_needs_follows_nothing():
    model = Apply(lambda self, x: (self.act(y := self.fc(x)), self.norm(y))[1], fc=nn.Linear(8, 8), act=nn.ReLU())
    model.norm = nn.BatchNorm1d(8)
    assert judged(FollowedBy(layer="linear", by="batch_norm", position="direct"), model)


def test_a_layer_called_like_a_kind_is_none_of_it():
    model = nn.Sequential(OrderedDict({"conv": nn.Linear(8, 8), "fc": nn.Linear(8, 2)}))
    assert MaxParams(limit=1, on="conv").check(measure(model, example=ROWS)).found == 0
    assert MaxParams(limit=1, on="fc").check(measure(model, example=ROWS)).found == 18


def test_the_ways_from_many_weights_are_gone_once_each(monkeypatch):
    def diamonds(self, x):
        weight = self.weight
        for _ in range(14):
            weight = weight.relu() + weight.tanh()
        return F.linear(x, weight)

    model = Apply(diamonds)
    model.weight = nn.Parameter(torch.randn(4, 8))
    facts = measure(model, example=ROWS)
    looked = []

    class Counted(list):
        def __getitem__(self, index):
            looked.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr(scope, "dependent_on_input", lambda graph: Counted(dependent_on_input(graph)))
    assert MaxParams(limit=1, on="linear").check(facts).found == 32
    assert len(looked) < 1_000


def test_a_deformable_convolution_pads_as_another_does():
    def forward(self, x):
        return self.conv(x, torch.zeros(x.shape[0], 18, *self.size))

    for padding, size in ((0, (6, 6)), (1, (8, 8))):
        model = Apply(forward, conv=DeformConv2d(3, 4, 3, padding=padding))
        model.size = size
        assert judged(NoPadding(), model, IMAGE) is (padding == 0)


def test_a_mode_that_there_is_not_has_no_graph():
    with pytest.raises(ValueError, match=r"""there are the modes "eval" and "train", not 'training'"""):
        measure(nn.Linear(8, 8), example=ROWS).executed("training")
