"""`on`: where it narrows a rule, where it is refused, and what happens when it selects nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.foundation.errors import ContractError
from archcheck.judging.engine import check
from archcheck.rules import (
    Channels,
    DropoutRate,
    FollowedBy,
    Forbids,
    Head,
    LogProbabilities,
    MaxActivations,
    MaxBytes,
    MaxMacs,
    MaxParams,
    MinAccuracy,
    NoHiddenWeights,
    NoPadding,
    NoUnusedLayers,
    NoUnusedParams,
    OutputShape,
    RecordMatchesModel,
    Requires,
    RequiresAny,
)
from archcheck.rules.findings import Verdict
from archcheck.testing import rule_of

IMAGE = torch.zeros(1, 1, 8, 8)


class Net(nn.Module):
    """Two convolutions and a linear layer that run, one that is idle, and one that is hidden."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, bias=False)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.2))
        self.fc = nn.Linear(4, 2)
        self.idle = nn.Linear(3, 3)
        self.kept_aside = [nn.Linear(4, 4)]

    def forward(self, x):
        x = self.body(F.dropout(self.stem(x), 0.1, self.training)).mean((2, 3))
        return self.fc(self.kept_aside[0](x))


def outcome(rule, model=None, example=IMAGE):
    return check(model or Net(), example=example, rules=[rule]).outcomes[0]


@pytest.mark.parametrize(
    ("on", "found"),
    [
        (None, 36 + 148 + 8 + 10 + 12 + 20),
        ("stem", 36),
        ("body.**", 156),
        ("Conv2d", 36 + 148),
        ("conv", 36 + 148),
        ("norm", 8),
        ("Sequential", 156),
        ("Linear", 10 + 12),
        ("linear", 10 + 12 + 20),
        ("Net", 36 + 148 + 8 + 10 + 12 + 20),
        ("dropout", 0),
    ],
)
def test_max_params_counts_what_on_points_at(on, found):
    assert outcome(MaxParams(limit=0, on=on)).found == found


def test_max_params_on_names_the_largest_of_these_layers_only():
    most = outcome(MaxParams(limit=1, on="Linear")).most
    assert [line.split()[0] for line in most] == ["idle", "fc"]


def test_max_params_on_a_tied_weight_counts_for_each_of_its_layers():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x))

    example = torch.zeros(1, 6)
    for on in ("encode", "decode", "Linear", "linear", None):
        assert outcome(MaxParams(limit=36, on=on), Tied(), example).found == 36


def test_max_params_on_a_kind_finds_weights_that_are_reshaped_first():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(6, 3))

        def forward(self, x):
            return F.linear(x, self.w.t())

    assert outcome(MaxParams(limit=18, on="linear"), Functional(), torch.zeros(1, 6)).found == 18


@pytest.mark.parametrize("on", ["Linear", "linear", "idle", "idle.weight", "Net", "*"])
def test_no_unused_params_on_finds_the_idle_layer(on):
    found = outcome(NoUnusedParams(on=on))
    assert found.verdict is Verdict.BROKEN
    assert "`idle.weight` (9 parameters) reaches no output" in found.summary


@pytest.mark.parametrize("on", ["Conv2d", "conv", "fc", "body.**", "BatchNorm2d"])
def test_no_unused_params_on_leaves_other_layers_alone(on):
    assert outcome(NoUnusedParams(on=on)).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (NoPadding(on="stem"), Verdict.KEPT),
        (NoPadding(on="Sequential"), Verdict.BROKEN),
        (Forbids(kinds=("linear",), on="body"), Verdict.KEPT),
        (Forbids(kinds=("linear",), on="Net"), Verdict.BROKEN),
        (Forbids(kinds=("dropout",), on="body"), Verdict.BROKEN),
        (NoHiddenWeights(on="body"), Verdict.KEPT),
        (NoHiddenWeights(on="linear"), Verdict.BROKEN),
        (NoHiddenWeights(on="Net"), Verdict.BROKEN),
        (DropoutRate(rate=0.2, on="body"), Verdict.KEPT),
        (DropoutRate(rate=0.2), Verdict.BROKEN),
        (Requires(kinds=("batch_norm",), on="body"), Verdict.KEPT),
        (Requires(kinds=("batch_norm",), on="stem"), Verdict.BROKEN),
        (RequiresAny(kinds=("batch_norm", "linear"), on="fc"), Verdict.KEPT),
        (RequiresAny(kinds=("batch_norm", "linear"), on="stem"), Verdict.BROKEN),
        (FollowedBy(layer="conv", by="batch_norm", on="Sequential"), Verdict.KEPT),
        (FollowedBy(layer="conv", by="batch_norm"), Verdict.BROKEN),
        (Channels(progression=(4, 4), on="body"), Verdict.KEPT),
    ],
)
def test_on_narrows(rule, verdict):
    assert outcome(rule).verdict is verdict


def test_a_declared_layer_elsewhere_is_no_hint():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.1))

        def forward(self, x):
            return self.a(x)

    example = torch.zeros(1, 2)
    assert outcome(Requires(kinds=("dropout",), on="a"), Two(), example).summary == "`a` executes no dropout"
    assert "declared and never called" in outcome(Requires(kinds=("dropout",), on="b"), Two(), example).summary


PROHIBITIONS = (NoPadding, NoHiddenWeights, NoUnusedParams, NoUnusedLayers)


@pytest.mark.parametrize(
    "rule",
    [*(cls(on="bodi.**") for cls in PROHIBITIONS), Forbids(kinds=("linear",), on="bodi.**")],
    ids=lambda rule: type(rule).__name__,
)
def test_a_prohibition_whose_on_points_at_nothing_is_not_kept(rule):
    found = outcome(rule)
    assert found.verdict is Verdict.ERROR
    assert found.summary.startswith('`on` = "bodi.**" selects nothing; did you mean "body')


def test_a_prohibition_whose_on_points_at_nothing_may_be_allowed():
    assert outcome(NoPadding(on="nowhere.**", allow_empty=True)).verdict is Verdict.KEPT


def test_a_prohibition_on_a_layer_without_anything_to_forbid_is_kept():
    assert outcome(NoPadding(on="fc")).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    "rule",
    [
        MaxParams(limit=10, on="typo.**"),
        Requires(kinds=("conv",), on="typo.**"),
        RequiresAny(kinds=("conv",), on="typo.**"),
        FollowedBy(layer="conv", by="batch_norm", on="typo.**"),
        Channels(progression=(1, 4), on="typo.**"),
        DropoutRate(rate=0.1, on="typo.**"),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_any_other_rule_whose_on_points_at_nothing_is_vacuous(rule):
    found = outcome(rule)
    assert found.verdict is Verdict.VACUOUS
    assert found.summary.startswith('`on` = "typo.**" selects nothing; ')


def test_a_vacuous_rule_whose_on_is_right_says_so():
    found = outcome(FollowedBy(layer="conv", by="batch_norm", on="fc"))
    assert (found.verdict, found.summary) == (Verdict.VACUOUS, "there was nothing for this rule to look at")


@pytest.mark.parametrize(
    ("cls", "values", "line"),
    [
        (Head, {"kinds": ("linear",)}, 'head = { kinds = ["linear"], on = "fc" }'),
        (OutputShape, {"shape": (1, 2)}, 'output-shape = { shape = [1, 2], on = "fc" }'),
        (LogProbabilities, {}, 'log-probabilities = { on = "fc" }'),
        (MinAccuracy, {"limit": 0.9}, 'min-accuracy = { limit = 0.9, on = "fc" }'),
        (RecordMatchesModel, {}, 'record-matches-model = { on = "fc" }'),
    ],
)
def test_a_rule_about_the_model_as_a_whole_refuses_on(cls, values, line):
    with pytest.raises(ValueError, match="the rule judges the model as a whole"):
        cls(**values, on="fc")
    assert cls(**values).on is None
    with pytest.raises(ContractError, match="`on` narrows nothing here"):
        rule_of(line, cls)


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU())
        self.decoder = nn.Sequential(nn.Conv1d(4, 4, 1), nn.Conv1d(4, 1, 3, padding=1))
        self.aside = [nn.Conv1d(1, 1, 1, bias=False)]

    def forward(self, x):
        return self.decoder(self.encoder(self.aside[0](x)))


SOUND = torch.zeros(1, 1, 10)


@pytest.mark.parametrize(
    ("rule", "encoder", "decoder", "unit"),
    [
        (MaxParams, 24, 33, "parameters"),
        (MaxMacs, 120, 280, "multiply-accumulates"),
        (MaxActivations, 40, 50, "activations"),
        (MaxBytes, 96 + 40, 132, "bytes of parameters and buffers"),
    ],
)
def test_each_part_has_totals_of_its_own_and_is_named(rule, encoder, decoder, unit):
    for part, found in (("encoder.**", encoder), ("decoder.**", decoder), ("decoder", decoder)):
        broken = outcome(rule(limit=found - 1, on=part), TwoParts(), SOUND)
        assert broken.summary.startswith(f"{found} {unit} in `{part}`, limit {found - 1} (+1, ")
        kept = outcome(rule(limit=found, on=part), TwoParts(), SOUND)
        assert (kept.verdict, kept.kept) == ("kept", f"{found} {unit} in `{part}`, limit {found}")
        assert (kept.found, kept.unit) == (found, unit)


@pytest.mark.parametrize(
    ("of", "on", "found"),
    [
        ("parameters", "encoder", 96), ("buffers", "encoder", 40), ("buffers", "decoder", 0),
        ("parameters", "norm", 32),
        (None, "norm", 72), (None, "BatchNorm1d", 72), (None, "conv", 64 + 80 + 52 + 4), (None, "encoder.0.weight", 48),
        (None, "encoder.1.running_mean", 16), ("parameters", None, 96 + 132 + 4), (None, "**", 136 + 132),
    ],
)  # fmt: skip
def test_bytes_of_a_part_are_of_parameters_and_buffers_alone(of, on, found):
    assert outcome(MaxBytes(limit=0, of=of, on=on), TwoParts(), SOUND).found == found


def test_tied_and_quantised_weights_have_bytes_in_each_part():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(6, 6, bias=False).half(), nn.Linear(6, 6, bias=False).half()
            self.decode.weight = self.encode.weight

        def forward(self, x):
            return self.decode(self.encode(x.half()))

    for on in ("encode", "decode", None):
        assert outcome(MaxBytes(limit=0, on=on), Tied(), torch.zeros(1, 6)).found == 72


@pytest.mark.parametrize("of", ["state", "file"])
def test_a_file_has_no_parts(of):
    with pytest.raises(ValueError, match="`on` selects no part of a file"):
        MaxBytes(limit=1, of=of, on="encoder")
