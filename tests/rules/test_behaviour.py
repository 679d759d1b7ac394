"""Rules of evaluation on real numbers: planted faults, healthy networks, and nothing left behind."""

from __future__ import annotations

import json
from math import inf, nan
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.judging.engine import check
from archcheck.measure.behaviour.closeness import distance
from archcheck.rules import DeterministicInEval, FiniteOutput, IndependentOfBatch
from archcheck.rules.findings import Verdict

ROWS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[3, 1, 6, 2], [5, 5, 0, 1]])


class Does(nn.Module):
    """A linear layer, and `what` with it and the input."""

    def __init__(self, what, *layers):
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.what = what
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return self.what(self, x)


def judged(model, example, rule):
    """Return the outcome; what was measured survives JSON, and the model, torch and the random state are as before."""
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    report = check(model, example=example, rules=[rule])
    assert Facts.from_json(json.loads(json.dumps(report.facts.to_json(), allow_nan=False))) == report.facts
    assert all(layer.training for layer in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    return report.outcomes[0]


def broken(model, example, rule, says):
    outcome = judged(model, example, rule)
    assert outcome.verdict is Verdict.BROKEN, outcome.headline
    assert says in outcome.summary, outcome.summary
    return outcome.findings[0]


class Sums(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(7, 6)
        self.lstm = nn.LSTM(6, 5, batch_first=True, num_layers=2, dropout=0.5)

    def forward(self, ids):
        out, (hidden, cell) = self.lstm(self.tokens(ids))
        return {"last": out[:, -1], "states": (hidden, cell), "ids": ids}


def healthy():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 12, batch_first=True), 2)
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return {
        "conv": (conv, torch.randn(1, 1, 8, 8)),
        "lstm": (Sums(), TOKENS),
        "time-first": (nn.LSTM(6, 5), torch.randn(9, 2, 6)),
        "unbatched": (nn.Sequential(nn.Linear(6, 6), nn.LogSoftmax(-1)), ROWS[:1]),
        "transformer": (encoder, torch.randn(2, 5, 6)),
        "half": (nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.GELU()).bfloat16(), ROWS.bfloat16()),
        "double": (nn.Sequential(nn.Linear(6, 6), nn.Softmax(-1)).double(), ROWS.double()),
        "float16": (nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.ReLU()).half(), ROWS.half()),
    }


@pytest.mark.parametrize("rule", [FiniteOutput(), DeterministicInEval(), IndependentOfBatch()])
@pytest.mark.parametrize("name", healthy())
def test_healthy_networks_keep_them(name, rule):
    model, example = healthy()[name]
    outcome = judged(model, example, rule)
    assert outcome.verdict is Verdict.KEPT, outcome.headline


# --- finite-output ------------------------------------------------------------------------------------------


def test_division_by_the_deviation_fails_on_zeros_at_its_line():
    finding = broken(
        Does(lambda self, x: x / x.std(1, keepdim=True)), ROWS, FiniteOutput(), "NaN in the output on zeros"
    )
    assert "x / x.std(1" in Path(__file__).read_text().splitlines()[finding.where.line - 1]
    assert "first made by `div`" in finding.message


def test_exponentials_overflow_on_large_values_where_the_exponential_is():
    def softmax(self, x):
        powers = torch.exp(self.linear(x))
        return powers / powers.sum(1, keepdim=True)

    assert judged(Does(softmax), ROWS, FiniteOutput(large=1)).verdict is Verdict.KEPT
    finding = broken(Does(softmax), ROWS, FiniteOutput(), "NaN in the output on 1,000 times the example")
    assert "powers = torch.exp" in Path(__file__).read_text().splitlines()[finding.where.line - 1]


def test_masks_of_minus_infinity_are_no_origin():
    def masked(self, x):
        scores = x.masked_fill(torch.ones(6, dtype=torch.bool), -torch.inf)
        return scores.softmax(1)

    finding = broken(Does(masked), ROWS, FiniteOutput(inputs=("example",)), "NaN in the output on the example")
    assert "first made by `_softmax`" in finding.message or "first made by `softmax`" in finding.message
    assert judged(
        Does(lambda self, x: x.masked_fill(x < 0, -torch.inf).exp()), ROWS, FiniteOutput(large=1)
    ).verdict is (Verdict.KEPT)


def test_noise_is_tried_and_any_output_is_looked_at():
    def picky(self, x):
        return {"sum": x.sum(1), "root": (x - ROWS).abs().clamp(max=0.1).mul(x - x).div(x - x) if False else x}

    assert judged(Does(picky), ROWS, FiniteOutput()).verdict is Verdict.KEPT
    second = Does(lambda self, x: {"fine": x, "ids": TOKENS, "odd": torch.where(x == ROWS, x, torch.log(-x.abs()))})
    finding = broken(second, ROWS, FiniteOutput(inputs=("noise",)), "NaN in the output `odd` on noise")
    assert "`log`" in finding.message


def test_a_pass_that_fails_on_another_input_is_broken():
    model = Does(lambda self, x: x * (1 / float(x.abs().sum())))
    broken(model, ROWS, FiniteOutput(), "the forward pass fails on zeros: ZeroDivisionError: float division by zero")


def test_tokens_stay_among_those_of_the_example():
    seen = []

    def look(self, ids):
        seen.append(ids.clone())
        return F.one_hot(ids, 7).float()

    assert judged(Does(look), TOKENS, FiniteOutput()).verdict is Verdict.KEPT
    assert {(int(ids.min()), int(ids.max())) for ids in seen} >= {(0, 0), (6, 6), (0, 6)}
    assert all(0 <= int(ids.min()) <= int(ids.max()) <= 6 for ids in seen)


def test_masks_and_lengths_beside_other_inputs_stay():
    seen = []

    class Masked(nn.Module):
        def forward(self, ids, mask, lengths):
            seen.append((mask.clone(), lengths.clone()))
            return ids.float() * mask

    mask, lengths = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0]]), torch.tensor([2, 3])
    assert judged(Masked(), (TOKENS, mask, lengths), FiniteOutput()).verdict is Verdict.KEPT
    assert all(torch.equal(each, mask) and torch.equal(other, lengths) for each, other in seen)


def test_integers_beside_floating_inputs_stay():
    seen = []

    class Steps(nn.Module):
        def forward(self, x, step):
            seen.append(step.clone())
            return x + step

    assert judged(Steps(), (ROWS, torch.tensor([[7], [9]])), FiniteOutput()).verdict is Verdict.KEPT
    assert all(torch.equal(step, torch.tensor([[7], [9]])) for step in seen)


def test_a_model_may_overwrite_its_input():
    assert judged(Does(lambda self, x: x.mul_(2)), ROWS.clone(), DeterministicInEval()).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([4.0, 1.0], [4.0, 1.0], 0.0),
        ([4.0, 1.0], [4.0, 3.0], 0.5),
        ([400.0, 100.0], [400.0, 300.0], 0.5),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([nan, inf, -inf], [nan, inf, -inf], 0.0),
        ([nan, 1.0], [1.0, 1.0], None),
        ([inf, 1.0], [-inf, 1.0], None),
        ([1.0], [1.0, 1.0], None),
        ([], [], 0.0),
    ],
)
def test_distances_are_of_the_largest_number(one, other, apart):
    assert distance(torch.tensor(one), torch.tensor(other)) == apart


# --- deterministic-in-eval ----------------------------------------------------------------------------------


def test_dropout_left_on_is_named_with_its_line():
    finding = broken(
        Does(lambda self, x: F.dropout(x)), ROWS, DeterministicInEval(), "the output changes with the random"
    )
    assert "F.dropout(x)" in Path(__file__).read_text().splitlines()[finding.where.line - 1]


def test_noise_in_a_layer_is_named_by_the_layer():
    noisy = Does(lambda self, x: x + torch.randn_like(x))
    assert (
        broken(nn.Sequential(nn.Linear(6, 6), noisy), ROWS, DeterministicInEval(), "`randn_like` draws some").layer
        == "1"
    )


def test_noise_of_python_is_seen_too():
    import random

    broken(Does(lambda self, x: x * random.random()), ROWS, DeterministicInEval(), "they are not torch's")


def test_random_numbers_that_change_nothing_are_fine():
    assert (
        judged(Does(lambda self, x: x + 0 * torch.randn_like(x)), ROWS, DeterministicInEval()).verdict is Verdict.KEPT
    )


def test_state_that_moves_in_evaluation_is_named():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls = self.calls + 1
            return x * self.calls

    model = nn.Sequential(nn.Linear(6, 6), Counts())
    finding = broken(model, ROWS, DeterministicInEval(), "a second call with the same input gives another output (by")
    assert '"1.calls" changed meanwhile' in finding.message
    assert finding.layer == "1"


def test_a_tolerance_is_of_the_largest_number():
    def slightly(self, x):
        return torch.cat([torch.ones(2, 1), 1e-4 * torch.rand(2, 1)], 1)

    broken(Does(slightly), ROWS, DeterministicInEval(), "the output changes")
    assert judged(Does(slightly), ROWS, DeterministicInEval(tolerance=1e-3)).verdict is Verdict.KEPT
    with pytest.raises(ValueError, match="must be at least 0"):
        DeterministicInEval(tolerance=-1)


# --- independent-of-batch -----------------------------------------------------------------------------------


def own_draws(x):
    """Draws of all sorts that belong to samples, and some that belong to none."""
    x = F.dropout(x, 0.3, training=True) + torch.randn_like(x) * torch.randn(x.shape[1])
    return x * torch.empty(len(x), 1).uniform_(0.5, 1) + torch.normal(x, 0.1) + torch.rand(())


def test_what_a_sample_draws_for_itself_is_no_neighbour():
    assert judged(Does(lambda self, x: own_draws(x)), ROWS, IndependentOfBatch()).verdict is Verdict.KEPT
    turned = Does(lambda self, x: own_draws(x.transpose(0, 1).transpose(0, 1)))
    assert judged(turned, ROWS, IndependentOfBatch()).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    "influence",
    [
        lambda x: x - x.mean(0),
        lambda x: x / len(x),
        lambda x: x + torch.arange(len(x))[:, None],
        lambda x: x * torch.rand(len(x), 1)[0] if len(x) == 1 else x,
        lambda x: x + torch.rand(len(x)).sum(),
        lambda x: x * torch.bernoulli(x.mean(0).sigmoid()),
    ],
)
def test_a_neighbour_is_one_also_among_draws(influence):
    model = Does(lambda self, x: F.dropout(influence(x), 0.3, training=True))
    broken(model, ROWS, IndependentOfBatch(), "the output of a sample changes with")


def test_the_mean_of_the_batch_is_a_neighbour():
    broken(
        Does(lambda self, x: x - x.mean(0)), ROWS, IndependentOfBatch(), "the output of a sample changes with its neigh"
    )


def test_a_small_share_of_the_batch_is_enough():
    model = Does(lambda self, x: {"own": x, "mixed": x - 1e-5 * x.mean(0)})
    broken(model, ROWS, IndependentOfBatch(), "the output `mixed` of a sample changes with its neighbours")


@pytest.mark.parametrize(
    "influence",
    [
        lambda x: x + torch.relu(x.mean(0) - 50),
        lambda x: x + torch.relu(-x.mean(0) - 50),
        lambda x: x * (x.abs().amax() < 100),
        lambda x: torch.cat([x[:100], x[100:] + 0.1 * x[:-100]]) if len(x) > 100 else x,
        lambda x: torch.cat([x[:-7] + 0.1 * x[7:], x[-7:]]) if len(x) > 7 else x,
        lambda x: x + 1e-3 * x.roll(501, 0) * (len(x) > 501),
    ],
)
def test_neighbours_that_are_far_off_or_large_are_neighbours(influence):
    model = Does(lambda self, x: influence(self.linear(x)))
    broken(model, ROWS, IndependentOfBatch(), "the output of a sample changes with its neighbours")


def test_neighbours_that_the_model_does_not_take_are_noted():
    def picky(self, x):
        if len(x) > 9 or x.abs().max() > 1000:
            raise ValueError("not these")
        return self.linear(x)

    outcome = judged(Does(picky), ROWS, IndependentOfBatch())
    assert outcome.verdict is Verdict.KEPT
    names = ("neighbours of large numbers", "a large batch")
    assert outcome.notes == tuple(f"not tried with {name}: ValueError: not these" for name in names)


@pytest.mark.parametrize(
    "own",
    [
        lambda x: torch.where(x > 0, x, x.exp()),  # which may be infinite, for a neighbour
        lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True),
        lambda x: x / x.norm(dim=1, keepdim=True),
        lambda x: x.sort(1).values.cumsum(1),
        lambda x: x.clamp(min=0).log1p(),
        lambda x: torch.stack([each * each.max() for each in x]),
    ],
)
def test_what_a_sample_does_with_itself_is_no_neighbour(own):
    assert judged(Does(lambda self, x: own(self.linear(x))), ROWS, IndependentOfBatch()).verdict is Verdict.KEPT
    assert judged(Does(lambda self, x: self.linear(own(x))), ROWS.abs(), IndependentOfBatch()).verdict is Verdict.KEPT


def test_samples_of_a_branch_by_torch_cond_are_their_own():
    model = Does(lambda self, x: torch.cond(torch.tensor(len(x) > 0), self.linear, torch.sin, (x,)))
    assert judged(model, ROWS, IndependentOfBatch()).verdict is Verdict.KEPT
    draws = Does(lambda self, x: torch.cond(torch.tensor(True), torch.rand_like, torch.sin, (x,)))
    broken(draws, ROWS, DeterministicInEval(), "`rand_like` draws some in evaluation")


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6, track_running_stats=False), nn.BatchNorm1d(6)])
def test_batch_norm_that_stays_in_training_is_dependent(norm):
    norm.train = lambda mode=True: norm
    model = Does(lambda self, x: F.batch_norm(self.linear(x), None, None, training=True), norm)
    broken(model, ROWS, IndependentOfBatch(), "the output of a sample changes with its neighbours")


def test_the_place_in_the_batch_and_its_size_matter_too():
    says = "changes with the size of the batch or its place there"
    broken(Does(lambda self, x: x / len(x)), ROWS, IndependentOfBatch(), says)
    broken(Does(lambda self, x: x + torch.arange(len(x))[:, None]), ROWS, IndependentOfBatch(), says)


def test_a_sample_that_fails_alone_depends_on_company():
    def no_hermit(self, x):
        if len(x) < 2:
            raise ValueError("alone")
        return x

    broken(Does(no_hermit), ROWS, IndependentOfBatch(), "a sample alone fails in evaluation: ValueError: alone")


def test_attention_across_samples_is_found_and_across_time_is_not():
    attends = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
    assert judged(attends, torch.randn(2, 5, 6), IndependentOfBatch()).verdict is Verdict.KEPT
    crossed = Does(lambda self, x: self.layers[0](x.transpose(0, 1)).transpose(0, 1), attends)
    broken(crossed, torch.randn(2, 5, 6), IndependentOfBatch(), "the output of a sample changes with its neighbours")


def test_a_merged_axis_belongs_to_its_samples():
    merges = Does(lambda self, x: x.reshape(-1, 6))
    assert judged(merges, torch.randn(2, 5, 6), IndependentOfBatch()).verdict is Verdict.KEPT


def test_what_keeps_no_batch_is_an_error_and_what_is_shared_a_note():
    outcome = judged(Does(lambda self, x: x.mean()), ROWS, IndependentOfBatch())
    assert outcome.summary == "no output grows with the batch, so no sample has one of its own"
    assert outcome.verdict is Verdict.ERROR
    outcome = judged(Does(lambda self, x: (x, x.mean())), ROWS, IndependentOfBatch())
    assert outcome.verdict is Verdict.KEPT
    assert outcome.notes == ('not looked at, for they do not grow with the batch: "1"',)


def test_a_fixed_batch_is_judged_on_the_example_as_given():
    outcome = judged(Does(lambda self, x: x.view(2, 6)), ROWS, IndependentOfBatch())
    assert outcome.summary == "a sample's outputs are its own, beside others"
    assert outcome.notes[0].startswith("judged on the example as given: the model takes no batch of three: ")
    mixed = Does(lambda self, x: x.view(2, 6) - x.mean(0))
    broken(mixed, ROWS, IndependentOfBatch(), "the output of a sample changes with its neighbours")


def test_a_fixed_batch_of_one_is_an_error():
    outcome = judged(Does(lambda self, x: x.view(1, 6)), ROWS[:1], IndependentOfBatch())
    assert "the example has no second sample: give one with several" in outcome.summary
    assert outcome.verdict is Verdict.ERROR


def test_an_axis_of_time_alone_is_no_batch():
    outcome = judged(nn.LSTM(6, 5), torch.randn(9, 6), IndependentOfBatch())
    assert outcome.headline == "error independent-of-batch: no axis of the input is known to count samples"


@pytest.mark.parametrize("rule", [FiniteOutput(), DeterministicInEval(), IndependentOfBatch()])
def test_integers_alone_are_an_error(rule):
    outcome = judged(Does(lambda self, x: TOKENS), ROWS, rule)
    assert outcome.verdict is Verdict.ERROR
    assert "returned no floating numbers" in outcome.summary
