"""`initial-loss` and `overfits-one-batch`: losses worked out by hand, faults that keep a network from learning."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.judging.engine import check
from archcheck.measure.behaviour import learning
from archcheck.measure.behaviour.adam import Adam
from archcheck.rules import InitialLoss, OverfitsOneBatch
from archcheck.rules.findings import Verdict

ROWS = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 9, (2, 5), generator=torch.Generator().manual_seed(0))


def judged(model, rule, example=ROWS):
    """Return the outcome; what was measured survives JSON, and the model and the random state are as before."""
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    report = check(model, example=example, rules=[rule])
    assert Facts.from_json(json.loads(json.dumps(report.facts.to_json(), allow_nan=False))) == report.facts
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(layer.training for layer in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    return report.outcomes[0]


class Scores(nn.Module):
    """Gives every sample the same scores."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))

    def forward(self, x):
        return self.scores.expand(len(x), -1) + 0 * x.sum()


# --- initial-loss -------------------------------------------------------------------------------------------


def test_equal_scores_cost_the_logarithm_of_the_classes():
    outcome = judged(Scores(2.0, 2.0, 2.0, 2.0), InitialLoss())
    assert outcome.headline == "kept initial-loss: 1.386 nats, where a guess among 4 classes costs 1.386"
    assert outcome.found == pytest.approx(math.log(4))


def test_the_loss_is_the_mean_over_all_classes():
    # log(e^0 + e^3) is 3.0486, and the mean score is 1.5.
    outcome = judged(Scores(0.0, 3.0), InitialLoss())
    assert outcome.found == pytest.approx(math.log(1 + math.e**3) - 1.5)
    assert outcome.summary == "the first loss is 1.549 nats, where a guess among 2 classes costs 0.693"
    assert judged(Scores(0.0, 3.0), InitialLoss(tolerance=0.9)).verdict is Verdict.KEPT


def test_log_probabilities_are_scores_too_and_nll_wants_them():
    logs = nn.Sequential(nn.Linear(12, 4), nn.LogSoftmax(1))
    assert judged(logs, InitialLoss()).verdict is Verdict.KEPT
    assert judged(logs, InitialLoss(loss="nll")).verdict is Verdict.KEPT
    assert judged(nn.Sequential(nn.Linear(12, 4)), InitialLoss(loss="nll")).verdict is Verdict.BROKEN


def test_a_softmax_before_the_loss_is_told_although_its_loss_looks_right():
    outcome = judged(nn.Sequential(nn.Linear(12, 4), nn.Softmax(1)), InitialLoss())
    assert outcome.summary == "the output is probabilities already, and the loss applies a softmax again"
    assert outcome.found == pytest.approx(math.log(4), abs=0.1)


def test_a_loss_that_is_no_number_is_broken():
    assert "the first loss is no number" in judged(Scores(0.0, math.inf), InitialLoss()).summary


@pytest.mark.parametrize("axis", [-1, 2])
def test_a_language_model_names_its_axis(axis):
    model = nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 7))
    outcome = judged(model, InitialLoss(axis=axis, classes=7), TOKENS)
    assert "among 7 classes" in outcome.summary
    assert outcome.verdict is Verdict.KEPT
    outcome = judged(model, InitialLoss(classes=7), TOKENS)
    assert outcome.summary == "the output has 5 classes along axis 1, not 7"


def test_one_class_and_a_missing_axis_are_errors():
    outcome = judged(nn.Linear(12, 1), InitialLoss())
    assert outcome.headline == "error initial-loss: the class axis 1 has one entry: name another with `axis`"
    assert judged(nn.Linear(12, 4), InitialLoss(axis=2)).verdict is Verdict.ERROR
    with pytest.raises(ValueError, match="two or more"):
        InitialLoss(classes=1)


# --- overfits-one-batch -------------------------------------------------------------------------------------


def healthy():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 2, 24, dropout=0.5, batch_first=True), 2)
    conv = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    mlp = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 4))
    return {
        "mlp": (mlp, ROWS, OverfitsOneBatch()),
        "conv": (nn.Sequential(conv, nn.Linear(64, 3), nn.LogSoftmax(1)), torch.randn(1, 1, 8, 8), OverfitsOneBatch()),
        "nll": (nn.Sequential(mlp, nn.LogSoftmax(1)), ROWS, OverfitsOneBatch(loss="nll")),
        "sigmoid": (nn.Sequential(mlp, nn.Sigmoid()), ROWS, OverfitsOneBatch(loss="mse")),
        "positions": (nn.Sequential(nn.Embedding(9, 16), nn.Linear(16, 9)), TOKENS, OverfitsOneBatch(axis=-1)),
        "encoder": (nn.Sequential(encoder, nn.Flatten(), nn.Linear(60, 3)), torch.randn(2, 5, 12), OverfitsOneBatch()),
    }


@pytest.mark.parametrize("name", healthy())
def test_healthy_networks_learn_a_batch(name):
    model, example, rule = healthy()[name]
    outcome = judged(model, rule, example)
    assert outcome.verdict is Verdict.KEPT, outcome.headline
    assert 0 < outcome.found <= 0.1


def test_eight_labels_of_four_classes_leave_their_entropy_to_who_does_not_look():
    outcome = judged(Scores(0.0, 0.0, 0.0, 0.0), OverfitsOneBatch(steps=3))
    assert outcome.verdict is Verdict.BROKEN
    assert "where blind guessing leaves 1.39, limit 0.1 of that" in outcome.summary
    assert outcome.found == pytest.approx(1.0, abs=0.01)


def test_many_classes_do_not_make_blind_guessing_look_like_learning():
    # Among 1,000 classes the loss starts at 6.9, and the eight labels alone bring it down to 2.08.
    outcome = judged(Scores(*(0.0 for _ in range(1_000))), OverfitsOneBatch(limit=0.5))
    assert outcome.verdict is Verdict.BROKEN


def test_each_position_of_tokens_is_to_be_told_apart():
    class Everywhere(Scores):
        def forward(self, ids):
            return self.scores.expand(*ids.shape, -1)

    outcome = judged(Everywhere(*(0.0 for _ in range(9))), OverfitsOneBatch(axis=-1), TOKENS)
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.found == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(12, 4), nn.Softmax(1), nn.Softmax(1)),
        nn.Sequential(nn.Linear(12, 1), nn.Linear(1, 8).requires_grad_(False)),
        nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Threshold(1e9, 0.0), nn.Linear(4, 4)),
    ],
    ids=["softmax twice", "frozen head behind one number", "dead"],
)
def test_what_cannot_learn_is_broken(model):
    outcome = judged(model, OverfitsOneBatch(steps=30))
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.summary.startswith("30 steps of Adam bring the loss of 8 samples from ")


def test_nothing_to_train_is_vacuous_and_a_detached_output_broken():
    assert judged(nn.Linear(12, 4).requires_grad_(False), OverfitsOneBatch()).verdict is Verdict.VACUOUS

    class Detached(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach()

    assert judged(Detached(12, 4), OverfitsOneBatch()).verdict is Verdict.BROKEN


def test_what_is_not_learned_for_its_money_is_an_error(monkeypatch):
    monkeypatch.setattr(learning, "BUDGET", 3 * 12 * 4 * 8 * 5)
    model = nn.Sequential(nn.Linear(12, 4), nn.Softmax(1), nn.Softmax(1))
    outcome = judged(model, OverfitsOneBatch())
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary.startswith("the batch was not learned in 0 billion multiply-accumulates; give a smaller")


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 1}, {"steps": 0}])
def test_limits_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match="between"):
        OverfitsOneBatch(**options)


def test_adam_takes_the_steps_that_torch_takes():
    ours, theirs = (torch.tensor([1.0, -2.0, 0.5], requires_grad=True) for _ in range(2))
    optimiser = torch.optim.Adam([theirs], lr=0.01)
    mine = Adam([ours], 0.01)
    for step in range(1, 6):
        for each in (ours, theirs):
            each.grad = None
            (each**3 * step).sum().backward()
        mine.step()
        optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-7)
