"""`gradients-reach`: what is cut off, dead or without effect is named with its layer and line, what waits is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.judging.engine import check
from archcheck.rules import GradientsReach
from archcheck.rules.findings import Verdict
from tests.measure.networks import Honoured

ROWS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
IMAGE = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def judged(model, example=ROWS, **options):
    """Return the outcome; what was measured survives JSON, and the model is as it was before."""
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = check(model, example=example, rules=[GradientsReach(**options)])
    assert Facts.from_json(json.loads(json.dumps(report.facts.to_json(), allow_nan=False))) == report.facts
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(layer.training for layer in model.modules())
    return report.outcomes[0]


class Cut(nn.Module):
    """A body of two layers, a head, and `between` them."""

    def __init__(self, between):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
        self.head = nn.Linear(4, 3)
        self.between = between

    def forward(self, x):
        return {"scores": self.head(self.between(self, self.body(x)))}


def test_a_whole_network_is_reached():
    outcome = judged(Cut(lambda self, x: x.relu()))
    assert outcome.headline == "kept gradients-reach: all 6 parameter tensors get a gradient"
    assert outcome.notes == ()


def test_what_is_detached_is_one_finding_at_the_line_that_builds_it():
    outcome = judged(Cut(lambda self, x: x.detach()))
    (finding,) = outcome.findings
    assert finding.message == "no gradient reaches `body` (Sequential): 59 parameters"
    assert outcome.found == 6 * 5 + 5 + 5 * 4 + 4
    assert finding.layer == "body"
    assert "self.body = nn.Sequential" in Path(__file__).read_text().splitlines()[finding.where.line - 1]


def test_a_pass_without_gradients_cuts_off_the_whole_model():
    class Blind(nn.Linear):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x)

    outcome = judged(Blind(6, 2))
    assert outcome.summary == "no gradient reaches the model: 14 parameters"


def test_a_relu_below_zero_is_dead():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    nn.init.constant_(model[0].bias, -1e3)
    outcome = judged(model)
    assert [finding.message for finding in outcome.findings] == [
        "the gradient is zero everywhere in `0` (Linear): 35 parameters",
        "the gradient is zero everywhere in `2.weight`: 10 parameters",
    ]


def test_a_branch_whose_result_is_dropped_gets_nothing():
    class Branches(Cut):
        def forward(self, x):
            self.head(self.body(x))
            return x * self.scale

    model = Branches(None)
    model.scale = nn.Parameter(torch.ones(()))
    outcome = judged(model)
    assert {finding.layer for finding in outcome.findings} == {"body", "head"}
    assert outcome.found == 59 + 15


def test_a_gradient_that_is_no_number_is_told():
    class Rooted(nn.Linear):
        def forward(self, x):
            return (super().forward(x) * 0).sqrt()

    assert judged(Rooted(6, 2)).summary.startswith("the gradient is not finite in the model: 14 parameters")


@pytest.mark.parametrize("strict", [False, True])
def test_a_bias_before_batch_norm_is_a_note_unless_strict(strict):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.BatchNorm2d(2))
    outcome = judged(model, IMAGE, strict=strict)
    if strict:
        assert [finding.message for finding in outcome.findings] == [
            "the gradient is rounding alone in `0.bias`: 4 parameters",
            "the gradient is rounding alone in `3.bias`: 2 parameters",
        ]
        assert [finding.layer for finding in outcome.findings] == ["0", "3"]
    else:
        assert outcome.verdict is Verdict.KEPT
        assert outcome.notes == (
            "the gradient of 6 biases before a normalisation is zero but for rounding (no-bias-before-norm)",
        )


def test_a_cancelled_bias_is_a_note_even_where_rounding_leaves_nothing():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    facts = check(model, example=IMAGE, rules=[GradientsReach()]).facts
    found = {**facts.behaviour["gradients-reach"], "zero": ["0.bias"], "tiny": []}
    result = GradientsReach().check(replace(facts, behaviour={"gradients-reach": found}))
    assert result.findings == ()
    assert result.notes[0].startswith("the gradient of 4 biases before a normalisation is zero")
    found["zero"] = ["1.bias"]
    assert GradientsReach().check(replace(facts, behaviour={"gradients-reach": found})).findings


def test_a_parameter_by_itself_points_at_the_innermost_layer():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    (finding,) = judged(model, IMAGE, strict=True).findings
    assert finding.message == "the gradient is rounding alone in `0.0.bias`: 4 parameters"
    assert finding.layer == "0.0"


def test_a_parameter_that_no_layer_owns_is_the_models():
    model = nn.Linear(6, 2)
    model._parameters["nowhere.weight"] = nn.Parameter(torch.zeros(5))
    (finding,) = judged(model).findings
    assert finding.message == "no gradient reaches `nowhere`: 5 parameters"
    assert finding.layer == ""


def test_a_single_bias_is_said_to_be_one():
    outcome = judged(nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)), IMAGE)
    assert outcome.notes == (
        "the gradient of a bias before a normalisation is zero but for rounding (no-bias-before-norm)",
    )


def test_a_bias_that_is_added_by_itself_is_cancelled_too():
    class Spelled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.randn(5))
            self.norm = nn.BatchNorm1d(5)

        def forward(self, x):
            hidden = F.linear(x, torch.ones(6, 6), torch.ones(6))  # a bias, and no parameter
            return self.norm(x @ self.weight.t() + self.bias) + F.batch_norm(hidden, None, None, training=True)[:, :1]

    (note,) = judged(Spelled(), torch.randn(4, 6)).notes
    assert note.startswith("the gradient of 5 biases before a normalisation")


class Scaled(nn.Module):
    """A residual branch whose scale starts at zero."""

    def __init__(self):
        super().__init__()
        self.fc, self.scale = nn.Linear(6, 6), nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.scale * self.fc(x)


def test_what_waits_for_a_single_scale_names_it():
    assert judged(Scaled()).notes == (
        "no gradient yet in 2 parameter tensors, until `scale`, which starts at zero, has moved",
    )


class Residual(nn.Module):
    def __init__(self, gamma):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(1)
        nn.init.constant_(self.norm.weight, gamma)

    def forward(self, x):
        return x + self.norm(self.conv(x))


def test_what_waits_for_a_scale_that_starts_at_zero_is_a_note():
    outcome = judged(Residual(0.0), IMAGE)
    assert outcome.verdict is Verdict.KEPT
    assert outcome.notes == (
        "no gradient yet in 1 parameter tensor, until the 2 that start at zero, such as `norm.weight`, have moved",
    )
    assert judged(Residual(1.0), IMAGE).notes == ()


def test_a_constant_factor_of_zero_is_no_start():
    class Zero(Residual):
        def forward(self, x):
            return x + 0.0 * self.norm(self.conv(x))

    outcome = judged(Zero(1.0), IMAGE)
    assert outcome.summary.startswith("the gradient is zero everywhere in the model")


def test_dropout_and_blocks_that_are_skipped_at_random_cut_nothing():
    class Depth(Cut):
        def forward(self, x):
            keep = torch.empty(len(x), 1).bernoulli_(0.05)
            return self.head(F.dropout(self.body(x), 0.99) * keep)

    assert judged(Depth(None)).verdict is Verdict.KEPT


def test_experts_take_turns():
    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(6, 2) for _ in range(2))

        def forward(self, x):
            first = self.experts[0](x) * (x[:, :1] > 0)
            return first + self.experts[1](x) if bool(x.mean() > ROWS.mean()) else first

    assert judged(Experts()).verdict is Verdict.KEPT


def test_frozen_parameters_are_no_concern_and_none_is_vacuous():
    model = Cut(lambda self, x: x.detach())
    model.body.requires_grad_(False)
    assert judged(model).headline == "kept gradients-reach: all 2 parameter tensors get a gradient"
    assert judged(model.requires_grad_(False)).verdict is Verdict.VACUOUS
    assert judged(nn.ReLU()).verdict is Verdict.VACUOUS


def test_the_rule_may_look_at_one_layer_only():
    model = Cut(lambda self, x: x.detach())
    assert judged(model, on="head").headline == "kept gradients-reach: all 2 parameter tensors get a gradient"
    assert judged(model, on="body").verdict is Verdict.BROKEN
    assert judged(model, on="boby").verdict is Verdict.ERROR


def test_a_model_that_takes_targets_in_training_is_measured_in_evaluation():
    class Targets(nn.Linear):
        def forward(self, x):
            if self.training:
                raise ValueError("targets must be given")
            return super().forward(x)

    outcome = judged(Targets(6, 2))
    assert outcome.verdict is Verdict.KEPT
    assert outcome.notes == ("measured in evaluation: in training the forward pass takes other inputs",)


@pytest.mark.parametrize("example", [torch.zeros(9, 6), torch.randn(9, 2, 6)])
def test_sequences_and_tied_weights_are_reached(example):
    assert judged(nn.LSTM(6, 5, 2, dropout=0.5), example).verdict is Verdict.KEPT
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    assert judged(model).headline == "kept gradients-reach: all 3 parameter tensors get a gradient"


def test_tokens_reach_their_table():
    model = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 2))
    assert judged(model, torch.randint(0, 9, (2, 5))).verdict is Verdict.KEPT


# --- gradients that are made up, and branches -----------------------------------------------------------------------


class Through(torch.autograd.Function):
    """A straight-through estimator: rounds, and hands the gradient on."""

    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Other(nn.Module):
    """A linear layer, a parameter of 5 numbers beside it, and `what` is done with both."""

    def __init__(self, what):
        super().__init__()
        self.linear, self.other = nn.Linear(6, 5), nn.Parameter(torch.randn(5))
        self.what = what

    def forward(self, x):
        return self.what(self.other, self.linear(x))


def hooked(parameter, y):
    if y.requires_grad:
        y.register_hook(lambda gradient: setattr(parameter, "grad", torch.ones(5)))
    return y


@pytest.mark.parametrize(
    "what",
    [
        lambda parameter, y: Honoured.apply(y, parameter),
        lambda parameter, y: Honoured.apply(y.relu(), parameter).tanh(),
        lambda parameter, y: Honoured.apply(Honoured.apply(y, y), parameter),
        hooked,
    ],
)
def test_a_gradient_that_is_made_up_is_none(what):
    (finding,) = judged(Other(what)).findings
    assert finding.message == (
        "the gradient is made up, for no output depends on what it trains: `other`: 5 parameters"
    )


@pytest.mark.parametrize(
    "what",
    [
        lambda parameter, y: y * Through.apply(parameter),
        lambda parameter, y: Through.apply(y) + Through.apply(parameter * 1),
        lambda parameter, y: Honoured.apply(y + parameter, y),
        lambda parameter, y: torch.utils.checkpoint.checkpoint(lambda z: z * parameter, y, use_reentrant=True),
    ],
)
def test_a_gradient_that_a_function_of_the_subject_hands_on_is_one(what):
    assert judged(Other(what)).headline == "kept gradients-reach: all 3 parameter tensors get a gradient"


@pytest.mark.parametrize(
    "predicate", [lambda x: x.sum() > 0, lambda x: torch.tensor(len(x) > 1), lambda x: x.mean() < 0.5]
)
def test_both_branches_of_torch_cond_are_reached(predicate):
    def between(self, x):
        return torch.cond(predicate(x), lambda x: x @ self.head.weight.t() @ self.head.weight, torch.relu, (x,))

    assert judged(Cut(between), torch.rand(2, 6)).verdict is Verdict.KEPT

    class Either(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(6, 5)

        def forward(self, x):
            return torch.cond(x.sum() > 0, self.first, self.second, (x,))

    assert judged(Either(), torch.rand(2, 6)).headline == "kept gradients-reach: all 4 parameter tensors get a gradient"


def test_a_branch_that_nothing_leads_to_is_not_reached():
    model = nn.ModuleList([nn.Linear(6, 5), nn.Linear(6, 5)])
    model.forward = lambda x: torch.cond(x.sum() > 1e9, model[0], model[1], (x,))
    assert judged(model).summary == "no gradient reaches `0` (Linear): 35 parameters"


def test_parameters_that_ask_for_gradients_in_training_alone_are_trained():
    class Toggled(nn.Linear):
        def train(self, mode=True):
            return super().train(mode).requires_grad_(mode)

    model = Toggled(6, 2)
    assert judged(model).headline == "kept gradients-reach: all 2 parameter tensors get a gradient"
