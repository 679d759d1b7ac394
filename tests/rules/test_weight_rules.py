"""`no-unused-layers` and `no-hidden-weights`: what they say, where they point, and how `on` narrows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.contract import Stated, Waiver
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import check, judge, measure
from archcheck.rules import MaxParams, NoHiddenWeights, NoUnusedLayers, NoUnusedParams
from archcheck.rules.findings import Verdict

X = torch.zeros(1, 3)


class Net(nn.Module):
    """Uses `fc`; `spare` is never called, and `side` is called in vain."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.spare = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
        self.side = nn.ReLU()

    def forward(self, x):
        self.side(x)
        return self.fc(x)


def outcome(rule, model=None, example=X):
    return check(model or Net(), example=example, rules=[rule]).outcomes[0]


def test_a_model_whose_layers_are_all_used_keeps_it():
    found = outcome(NoUnusedLayers(), nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)))
    assert found.verdict is Verdict.KEPT
    assert found.kept == "all 3 layers are used"


def test_every_unused_layer_is_named_with_what_is_wrong_with_it():
    found = outcome(NoUnusedLayers())
    assert (found.verdict, found.found) == (Verdict.BROKEN, 2)
    assert [finding.message for finding in found.findings] == [
        "`spare` (Sequential with 2 layers) is never called",
        "`side` (ReLU) runs, but its result reaches no output",
    ]
    assert found.findings[0].where.file.endswith("test_weight_rules.py")


@pytest.mark.parametrize(
    ("on", "paths"),
    [
        ("spare", ["spare"]),
        ("spare.*", ["spare.0", "spare.1"]),
        ("Dropout", ["spare.1"]),
        ("ReLU", ["side"]),
        ("relu", ["side"]),
        ("fc", []),
    ],
)
def test_on_narrows_it_to_layers(on, paths):
    found = outcome(NoUnusedLayers(on=on))
    assert [finding.layer for finding in found.findings] == paths
    assert found.verdict is (Verdict.BROKEN if paths else Verdict.KEPT)


def test_a_selector_that_points_at_nothing_is_no_pass():
    found = outcome(NoUnusedLayers(on="spar"))
    assert found.verdict is Verdict.ERROR
    assert found.summary.startswith('`on` = "spar" selects nothing; did you mean "spare"?')
    assert outcome(NoUnusedLayers(on="spar", allow_empty=True)).verdict is Verdict.KEPT


def test_without_the_graph_of_training_no_layer_is_called_idle():
    class WantsTargets(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop = nn.Linear(3, 3), nn.Dropout(0.5)

        def forward(self, x):
            if self.training:
                raise ValueError("no targets")
            return self.fc(x)

    found = outcome(NoUnusedLayers(), WantsTargets())
    assert found.verdict is Verdict.ERROR
    assert "no targets" in found.summary
    assert outcome(NoUnusedLayers(on="fc"), WantsTargets()).verdict is Verdict.KEPT


# --- buffers as weights -------------------------------------------------------------------------------------


class Edges(nn.Module):
    """A fixed filter in a buffer of a layer that another uses."""

    def __init__(self):
        super().__init__()
        self.filters = nn.Module()
        self.filters.register_buffer("sobel", torch.rand(1, 1, 9, 9))

    def forward(self, x):
        return F.conv2d(x, self.filters.sobel)


IMAGE = torch.zeros(1, 1, 12, 12)


def test_a_fixed_filter_is_said_to_be_a_buffer_and_named_by_its_path():
    (finding,) = outcome(NoHiddenWeights(), Edges(), IMAGE).findings
    assert finding.message.startswith("81 hidden weights: the buffer `filters.sobel` of shape 1x1x9x9 used by `conv2d`")
    assert finding.layer == "filters.sobel"
    assert "waive" in finding.fix


@pytest.mark.parametrize(("layer", "verdict"), [("filters.sobel", Verdict.WAIVED), ("filters.blur", Verdict.BROKEN)])
def test_a_fixed_filter_is_waived_by_the_path_of_its_buffer(layer, verdict):
    here = Where(file="contract.toml", line=9)
    stated = Stated(rule=NoHiddenWeights(), instance="no-hidden-weights", where=here)
    waiver = Waiver(rule="no-hidden-weights", layer=layer, reason="a fixed filter", until=None, where=here)
    assert judge(measure(Edges(), example=IMAGE), [stated], [waiver])[0].verdict is verdict


@pytest.mark.parametrize(
    ("on", "verdict"), [("filters", Verdict.BROKEN), ("filters.sobel", Verdict.BROKEN), ("conv", Verdict.BROKEN)]
)
def test_on_finds_the_buffer_by_its_owner_its_path_and_its_reader(on, verdict):
    assert outcome(NoHiddenWeights(on=on), Edges(), IMAGE).verdict is verdict


def test_a_buffer_that_acts_as_a_weight_counts_for_the_budget():
    assert outcome(MaxParams(limit=81), Edges(), IMAGE).found == 81


# --- where the findings point, and what they name --------------------------------------------------------------------


class Deep(nn.Module):
    """Uses `fc`; an idle parameter two layers deep, and an idle layer of one layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.side = nn.Sequential(
            nn.ReLU(),
            nn.Linear(3, 2),
        )

    def forward(self, x):
        return self.fc(self.side[0](x))


def line_of(part):
    """Return the line of this file that holds `part` for the first time."""
    lines = Path(__file__).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if part in line)


def test_an_idle_parameter_points_at_the_line_of_its_own_layer():
    findings = outcome(NoUnusedParams(), Deep()).findings
    assert {(finding.layer, finding.where.line) for finding in findings} == {("side.1", line_of("nn.Linear(3, 2)"))}


def test_an_idle_layer_points_at_its_line_and_one_of_no_line_at_the_model():
    facts = measure(Deep(), example=X)
    (finding,) = NoUnusedLayers().check(facts).findings
    assert finding.message == "`side.1` (Linear) is never called"
    assert finding.where.line == line_of("nn.Linear(3, 2)")
    assert finding.where != facts.subject.where
    layers = tuple(replace(layer, where=None) for layer in facts.layers)
    (finding,) = NoUnusedLayers().check(replace(facts, layers=layers)).findings
    assert finding.where == facts.subject.where


def test_an_idle_layer_says_how_many_layers_are_idle_in_it():
    model = nn.ModuleDict({"fc": nn.Linear(3, 3), "one": nn.Sequential(nn.ReLU()), "two": nn.Sequential(Deep())})
    model.forward = lambda x: model["fc"](x)
    assert [finding.message for finding in outcome(NoUnusedLayers(), model).findings] == [
        "`one` (Sequential with 1 layer) is never called",
        "`two` (Sequential with 5 layers) is never called",
    ]


def test_an_idle_parameter_that_no_layer_owns_points_at_the_model():
    model = Deep()
    model.side = nn.Identity()
    model.forward = lambda x: model.fc(x)
    model._parameters["nowhere.weight"] = nn.Parameter(torch.zeros(5))
    facts = measure(model, example=X)
    (finding,) = NoUnusedParams().check(facts).findings
    assert finding.message == "`nowhere.weight` (5 parameters) reaches no output"
    assert finding.where == facts.subject.where


def test_a_hidden_tensor_is_named_by_its_owner_if_it_has_one():
    tables, scalar = [torch.randn(3, 3)], nn.Parameter(torch.tensor(2.0))

    class Closed(nn.Module):
        def forward(self, x):
            return F.linear(x, tables[0]) * scalar

    said = sorted(finding.message.partition(" used by")[0] for finding in outcome(NoHiddenWeights(), Closed()).findings)
    assert said == ["1 hidden weights: a tensor of shape scalar", "9 hidden weights: a tensor of shape 3x3"]
