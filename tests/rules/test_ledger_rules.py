"""`no-unused-layers` and `no-hidden-weights`: what they say, where they point, and how `on` narrows them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.contract import Stated, Waiver
from archcheck.engine import check, judge, measure
from archcheck.findings import Verdict
from archcheck.rules import MaxParams, NoHiddenWeights, NoUnusedLayers
from archcheck.where import Where

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
    assert found.findings[0].where.file.endswith("test_ledger_rules.py")


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
    assert found.summary.startswith('`on` = "spar" points at nothing; did you mean "spare"?')
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
        self.filters.register_buffer("sobel", torch.ones(1, 1, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.filters.sobel)


IMAGE = torch.zeros(1, 1, 5, 5)


def test_a_fixed_filter_is_said_to_be_a_buffer_and_named_by_its_path():
    (finding,) = outcome(NoHiddenWeights(), Edges(), IMAGE).findings
    assert finding.message.startswith("9 hidden weights: the buffer `filters.sobel` of shape 1x1x3x3 used by `conv2d`")
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
    assert outcome(MaxParams(limit=9), Edges(), IMAGE).found == 9
