"""Dropout: every spelling counts, one that does nothing does not, and one that leaks breaks every promise of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.facts.records import PARANOID
from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.rules import DropoutRate, Requires, RequiresAny
from archcheck.rules.findings import Verdict

IMAGE = torch.zeros(1, 1, 12, 12)
SEQUENCE = torch.zeros(2, 3, 8)
REQUIRED = Requires(kinds=("dropout",))


class Functional(nn.Module):
    """A convolution, a dropout layer of rate 0.1 if asked for, then whatever `then` does with the result."""

    def __init__(self, then, *, good=False):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.good = nn.Dropout(0.1) if good else nn.Identity()
        self.then = then

    def forward(self, x):
        return self.then(self, self.good(self.conv(x)))


def outcome(model, rule, example=IMAGE):
    return check(model, example=example, rules=[rule]).outcomes[0]


@pytest.mark.parametrize(
    "then",
    [
        lambda self, x: F.dropout(x, 0.1, self.training),
        lambda self, x: F.dropout2d(x, 0.1, training=self.training),
        lambda self, x: F.alpha_dropout(x, 0.1, training=self.training),
        lambda self, x: torch.dropout(x, 0.1, self.training),
        lambda self, x: F.dropout(x, 0.1) if self.training else x,
    ],
)
def test_functional_dropout_counts(then):
    assert outcome(Functional(then), REQUIRED).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.1), nn.Dropout2d(0.1), nn.AlphaDropout(0.1), nn.FeatureAlphaDropout(0.1)]
)
def test_dropout_layers_count(layer):
    assert outcome(nn.Sequential(nn.Conv2d(1, 4, 3), layer), REQUIRED).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("then", "says"),
    [
        (lambda self, x: F.dropout(x, 0.1), "is on in evaluation, too"),
        (lambda self, x: F.dropout(x, 0.1, training=False), "is off in training"),
        (lambda self, x: F.dropout(x, 0.0, self.training), "has rate 0"),
        (lambda self, x: F.dropout(x, 0.0), "has rate 0"),
        (lambda self, x: (F.dropout(x, 0.1), x)[1], "does not reach an output"),
    ],
)
def test_dropout_that_does_not_take_effect_does_not_count(then, says):
    found = outcome(Functional(then), REQUIRED)
    assert found.verdict is Verdict.BROKEN
    assert found.summary.startswith("no dropout takes effect: ")
    assert says in found.summary


BY_HAND = {
    "bernoulli of a tensor": lambda x: x * torch.bernoulli(torch.full_like(x, 0.9)) / 0.9,
    "bernoulli of a distribution": lambda x: x * torch.distributions.Bernoulli(probs=0.9).sample(x.shape) / 0.9,
    "bernoulli of a distribution of its own": lambda x: (
        x * torch.distributions.Bernoulli(torch.full_like(x, 0.9)).sample() / 0.9
    ),
    "bernoulli of ones": lambda x: torch.bernoulli(torch.ones_like(x) * 0.9) * x / 0.9,
    "bernoulli of a number": lambda x: x * torch.bernoulli(torch.empty(x.shape), 0.9).div(0.9),
    "in place": lambda x: x * x.new_empty(x.shape).bernoulli_(0.9).div_(0.9),
    "compared": lambda x: x * (torch.rand_like(x) > 0.1) / 0.9,
    "compared the other way round": lambda x: x / 0.9 * (torch.rand(x.shape) < 0.9).to(x.dtype),
    "inverted": lambda x: x.mul(~(torch.rand(x.shape) < 0.1)) / 0.9,
    "filled": lambda x: x.masked_fill(torch.rand_like(x) < 0.1, 0.0) / 0.9,
    "of whole channels": lambda x: x * x.new_empty(*x.shape[:2], 1, 1).bernoulli_(0.9).div_(0.9),
    "written to": lambda x: x.mul_(torch.empty_like(x).uniform_().ge_(0.1)),
    "cast like another": lambda x: x * (torch.rand_like(x) > 0.1).type_as(x) / 0.9,
    "chosen": lambda x: torch.where(torch.rand_like(x) < 0.1, 0, x / 0.9),
    "chosen the other way round": lambda x: torch.where(torch.rand_like(x) > 0.1, x / 0.9, torch.zeros_like(x)),
    "expanded": lambda x: x.data.new(*x.shape[:2], 1, 1).bernoulli_(0.9).div_(0.9).expand_as(x) * x,
    "taken from one": lambda x: x * (1 - torch.bernoulli(torch.full_like(x, 0.1))) / 0.9,
    "rounded down": lambda x: x.div(0.9) * (torch.rand_like(x) + 0.9).floor_(),
    "moved": lambda x: x * (torch.rand_like(x) * 2 - 0.2 > 0).int(),
    "counted": lambda x: x * (torch.randint(0, 10, x.shape) > 0) / 0.9,
    "cut and rounded": lambda x: x * (torch.rand_like(x) - 0.1).sign().clamp(min=0) / 0.9,
    "a step": lambda x: x * torch.heaviside(torch.rand_like(x) - 0.1, torch.zeros(())),
    "rounded up": lambda x: x * (torch.rand_like(x) - 0.1).ceil() / 0.9,
    "cut at both ends": lambda x: x * ((drawn := torch.rand_like(x)).gt(0.05) & drawn.lt(0.95)),
    "on the way to zero": lambda x: torch.lerp(x, torch.zeros_like(x), (torch.rand_like(x) < 0.1).to(x)),
    "added to nothing": lambda x: torch.addcmul(torch.zeros(()), x, (torch.rand_like(x) > 0.1).to(x)),
    "one for all samples": lambda x: x * torch.empty(x.shape[1:]).bernoulli_(0.9),
}


@pytest.mark.parametrize("drop", BY_HAND.values(), ids=BY_HAND)
def test_dropout_by_hand_counts(drop):
    model = Functional(lambda self, x: drop(x) if self.training else x)
    assert outcome(model, REQUIRED).verdict is Verdict.KEPT
    assert outcome(model, DropoutRate(rate=0.1)).verdict is Verdict.KEPT
    leak = outcome(Functional(lambda self, x: drop(x)), REQUIRED)
    assert leak.verdict is Verdict.BROKEN
    assert "is on in evaluation, too" in leak.summary


@pytest.mark.parametrize(
    "drop",
    [
        lambda x: x * x.new_empty(len(x), 1, 1, 1).bernoulli_(0.9),  # of a sample, the whole branch
        lambda x: x * torch.empty(()).bernoulli_(0.9),
        lambda x: x * torch.rand_like(x),
        lambda x: x * (torch.randn_like(x) > 0.1),  # of a share that nothing says
        lambda x: x * (torch.rand_like(x) > x),
        lambda x: x * torch.empty(1).bernoulli_(0.9).expand_as(x),
        lambda x: x * torch.empty(len(x), 1, 1, 1).bernoulli_(0.9).expand(x.shape),
        lambda x: x * (torch.rand_like(x).int() < 0.5),
        lambda x: x * (torch.rand(x.shape).long() <= 0.9),
        lambda x: x * (torch.rand_like(x).bool().float() > 0.1),
        lambda x: x * (torch.bernoulli(torch.full_like(x, 0.9)) * 0.5).int(),
        lambda x: x * (torch.bernoulli(torch.full_like(x, 0.9)) + 1),
        lambda x: x * torch.rand_like(x).floor(),
        lambda x: x * torch.randint(0, 3, x.shape),
        lambda x: torch.where(torch.rand_like(x) > 0.1, x, x * 0.9),
        lambda x: x + torch.bernoulli(torch.full_like(x, 0.9)),
        lambda x: x + 0 * torch.bernoulli(torch.full_like(x, 0.9)),
        lambda x: x * (0.9 + 0.2 * torch.bernoulli(torch.full_like(x, 0.5))),
        lambda x: x * (x.new_empty(len(x), 1, 1, 1).bernoulli_(0.9) * torch.ones_like(x)),  # of a sample, spread out
        lambda x: torch.where(torch.rand_like(x) < 0.1, x.mean(), x),
        lambda x: torch.minimum(x.abs() + 2, (torch.rand_like(x) > 0.1).to(x)),
        lambda x: x.masked_fill(torch.rand_like(x) < 0.1, 1.0),
        lambda x: x * (x > 0.1) * (torch.rand_like(x) > 0.1).any(),
    ],
)
def test_other_numbers_by_chance_are_no_dropout(drop):
    found = outcome(Functional(lambda self, x: drop(x) if self.training else x), REQUIRED)
    assert found.verdict is Verdict.BROKEN
    assert "no dropout" in found.summary


def test_a_coin_is_a_mask_too():
    model = Functional(lambda self, x: x * torch.randint(0, 2, x.shape) * 2 if self.training else x)
    assert outcome(model, DropoutRate(rate=0.5)).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        (lambda x: x * (torch.rand_like(x) >= 0), "has rate 0"),
        (lambda x: x * (torch.rand_like(x) < 2), "has rate 0"),
        (lambda x: x * torch.bernoulli(torch.ones_like(x)), "has rate 0"),
        (lambda x: (x * torch.bernoulli(torch.full_like(x, 0.9)), x)[1], "does not reach an output"),
        (lambda x: torch.cat([x, x * (torch.rand_like(x) > 0.1)])[: len(x)], "does not reach an output"),
        (lambda x: torch.maximum(x, x * (torch.rand_like(x) > 0.1) - 1e9), "does not reach an output"),
        (lambda x: sum((torch.rand_like(x) > 0.1) * x for _ in range(40)) / 40, "averages it away"),
    ],
)
def test_dropout_by_hand_that_drops_nothing_does_not_count(drop, says):
    model = Functional(lambda self, x: drop(x) if self.training else x)
    found = REQUIRED.check(measure_model(model, example=torch.rand(2, 1, 12, 12), needs=[PARANOID]))
    assert says in found.findings[0].message


def test_a_dropout_layer_of_rate_zero_does_not_count():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(p=0))
    assert outcome(model, REQUIRED).summary == "no dropout takes effect: `1` (Dropout) has rate 0"


def test_attention_dropout_counts():
    layer = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
    assert outcome(layer, REQUIRED, (SEQUENCE, SEQUENCE, SEQUENCE)).verdict is Verdict.KEPT


def test_dropout_of_a_single_recurrent_layer_does_nothing():
    with pytest.warns(UserWarning, match="dropout option adds dropout"):
        single = nn.LSTM(8, 4, dropout=0.2)
    assert "there is one layer" in outcome(single, REQUIRED, SEQUENCE).summary
    assert outcome(nn.LSTM(8, 4, num_layers=2, dropout=0.2), REQUIRED, SEQUENCE).verdict is Verdict.KEPT


# --- leaks --------------------------------------------------------------------------------------------------


def elsewhere(self, x):
    """Drops in both modes, on a line of its own in each."""
    if self.training:
        return F.dropout(x, 0.3)
    return F.dropout(x, 0.3, True)


def in_evaluation_only(self, x):
    return x if self.training else F.dropout(x, 0.3)


def leaks_in_attention(self, x):
    flat = x.flatten(2)
    return F.scaled_dot_product_attention(flat, flat, flat, dropout_p=0.3)


LEAKS = [lambda self, x: F.dropout(x, 0.3), elsewhere, in_evaluation_only, leaks_in_attention]


@pytest.mark.parametrize("then", LEAKS)
@pytest.mark.parametrize(
    "rule",
    [REQUIRED, RequiresAny(kinds=("dropout", "linear")), DropoutRate(rate=0.3), DropoutRate(at_most=0.5)],
    ids=["requires", "requires-any", "dropout-rate", "dropout-rate between"],
)
def test_a_leak_breaks_the_promise_whatever_else_is_there(rule, then):
    found = outcome(Functional(then, good=True), rule)
    assert found.verdict is Verdict.BROKEN
    assert any("is on in evaluation, too" in finding.message for finding in found.findings)


def test_a_leak_is_no_absence():
    found = outcome(Functional(LEAKS[0], good=True), REQUIRED)
    assert found.found == ["1 dropout"]
    assert found.summary.startswith("`dropout` at ")


def test_the_rate_of_a_leak_is_judged_too():
    messages = [finding.message for finding in outcome(Functional(LEAKS[0], good=True), DropoutRate(rate=0.1)).findings]
    assert any(message.endswith("has rate 0.3, not 0.1") for message in messages)
    assert any(message.endswith("is on in evaluation, too") for message in messages)


def test_one_line_that_leaks_once_of_two_times():
    def then(self, x):
        for always in (False, True):
            x = F.dropout(x, 0.3, self.training or always)
        return x

    found = outcome(Functional(then), DropoutRate(rate=0.3))
    assert [finding.message.endswith("is on in evaluation, too") for finding in found.findings] == [True]
    assert outcome(Functional(then), REQUIRED).found == ["1 dropout"]


def test_a_dropout_in_evaluation_that_reaches_no_output_is_no_leak():
    def then(self, x):
        F.dropout(x, 0.3)
        return x

    assert outcome(Functional(then, good=True), DropoutRate(rate=0.1)).verdict is Verdict.KEPT


def test_a_leak_elsewhere_is_none_of_on():
    def then(self, x):
        return F.dropout(x, 0.3)

    assert outcome(Functional(then, good=True), DropoutRate(rate=0.1, on="good")).verdict is Verdict.KEPT


def rows_of_an_embedding(self, x):
    table = self.table
    if self.training:
        table = table * table.new_empty(30, 1).bernoulli_(0.9).expand_as(table) / 0.9
    return F.embedding(x, table)


def elements_of_a_weight(self, x):
    weight = self.table
    return F.embedding(x, weight * (torch.rand(30, 8) > 0.1) / 0.9 if self.training else weight)


@pytest.mark.parametrize("forward", [rows_of_an_embedding, elements_of_a_weight])
def test_a_parameter_may_lose_rows_or_elements(forward):
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(30, 8))

        def forward(self, x):
            return forward(self, x)

    found = outcome(Embedded(), DropoutRate(rate=0.1), torch.arange(12).view(2, 6))
    assert found.verdict is Verdict.KEPT
    assert outcome(Embedded(), REQUIRED, torch.arange(12).view(2, 6)).verdict is Verdict.KEPT


def test_a_dropout_whose_zeros_nobody_tells_from_others_takes_no_effect():
    model = Functional(lambda self, x: x * (F.dropout(torch.ones_like(x), 0.1, self.training) >= 0))
    assert REQUIRED.check(measure_model(model, example=IMAGE, needs=[PARANOID], confirm=True)).findings
