"""`state-dict-round-trip` and `exports`: state that stays behind, code that no exporter can follow."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.rules import Exports, StateDictRoundTrip
from archcheck.rules.findings import Verdict
from archcheck.testing import check_file

ROWS = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))


def judged(model, rule, example=ROWS):
    """Return the outcome; what was measured survives JSON, and the model and the random state are as before."""
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if torch.is_tensor(tensor)}
    random = torch.get_rng_state()
    report = check(model, example=example, rules=[rule])
    assert Facts.from_json(json.loads(json.dumps(report.facts.to_json(), allow_nan=False))) == report.facts
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items() if name in before)
    assert all(layer.training for layer in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    return report.outcomes[0]


class Moves(nn.Module):
    """Subtracts what it has seen in training, which `keep` says where to keep."""

    def __init__(self, keep):
        super().__init__()
        self.linear = nn.Linear(6, 6)
        if keep == "plain":
            self.seen = torch.zeros(6)
        elif keep == "list":
            self.history = [torch.zeros(6)]
        else:
            self.register_buffer("seen", torch.zeros(6), persistent=keep == "persistent")
        self.keep = keep

    def forward(self, x):
        if self.training and self.keep == "list":
            self.history = [*self.history, x.mean(0).detach()]
        elif self.training:
            self.seen = 0.5 * self.seen + 0.5 * x.mean(0).detach()
        return self.linear(x - (self.history[-1] if self.keep == "list" else self.seen))


# --- state-dict-round-trip ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)), ROWS),
        (Moves("persistent"), ROWS),
        (nn.LSTM(6, 5, 2), torch.randn(4, 2, 6)),
        (nn.TransformerEncoderLayer(6, 2, 12, batch_first=True), torch.randn(2, 4, 6)),
        (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9)), torch.randint(0, 9, (2, 5))),
        (nn.utils.parametrizations.weight_norm(nn.Linear(6, 4)), ROWS),
        (nn.Linear(6, 4).bfloat16(), ROWS.bfloat16()),
    ],
)
def test_what_is_registered_comes_along(model, example):
    outcome = judged(model, StateDictRoundTrip(), example)
    assert outcome.headline == "kept state-dict-round-trip: a fresh model with the saved state gives the same outputs"
    assert outcome.found == 0
    assert outcome.notes[0].startswith("loaded into a copy")


@pytest.mark.parametrize(
    ("keep", "named"),
    [
        ("plain", "plain attribute `0.seen`"),
        ("volatile", "buffer `0.seen`"),
        ("list", "plain attribute `0.history`"),
    ],
)
def test_what_is_not_saved_is_named_with_its_layer(keep, named):
    outcome = judged(nn.Sequential(Moves(keep), nn.Linear(6, 2)), StateDictRoundTrip())
    (finding,) = outcome.findings
    assert finding.message.startswith("a fresh model with the saved state gives another output (by ")
    assert finding.message.endswith(f": it lacks {named}")
    assert finding.layer == "0"


def test_a_state_that_leaves_something_out_cannot_be_loaded():
    class Forgets(nn.Linear):
        def state_dict(self, *args, **kwargs):
            return {"weight": self.weight}

    outcome = judged(nn.Sequential(Forgets(6, 4)), StateDictRoundTrip())
    assert outcome.verdict is Verdict.BROKEN
    assert outcome.summary.startswith(
        "the state cannot be loaded into a fresh model: RuntimeError: Error(s) in loading"
    )


def test_a_state_of_strange_objects_cannot_be_read():
    class Strange(nn.Linear):
        def get_extra_state(self):
            return Path("somewhere")

        def set_extra_state(self, state):
            pass

    outcome = judged(Strange(6, 4), StateDictRoundTrip())
    assert outcome.summary.startswith("the state cannot be read with `weights_only=True`: UnpicklingError: ")


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 4)
        {line}

    def forward(self, x):
        return self.linear(x * self.mask)
"""
CONTRACT = """
[subjects.net]
model = "model.py:Net"
input = [2, 6]
[subjects.net.rules]
state-dict-round-trip = true
"""


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("self.mask = torch.rand(6)", Verdict.BROKEN),
        ("self.register_buffer('mask', torch.rand(6), persistent=False)", Verdict.BROKEN),
        ("self.register_buffer('mask', torch.rand(6))", Verdict.KEPT),
        ("self.register_buffer('mask', torch.arange(6.0), persistent=False)", Verdict.KEPT),
    ],
)
def test_a_contract_builds_the_model_anew_with_other_random_numbers(line, verdict, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCHECK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "model.py").write_text(MODEL.format(line=line))
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    (report,) = check_file(tmp_path / "archcheck.toml")
    assert report.outcomes[0].verdict is verdict, report.outcomes[0].headline
    assert report.outcomes[0].notes == ()
    assert ("`mask`" in report.outcomes[0].summary) is (verdict is Verdict.BROKEN)


# --- exports ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5)), torch.randn(1, 1, 8, 8)),
        (nn.LSTM(6, 5), torch.randn(4, 2, 6)),
    ],
)
def test_plain_networks_are_exported(model, example):
    outcome = judged(model, Exports(), example)
    assert outcome.headline == "kept exports: exported to torch.export with the same outputs"


@pytest.mark.parametrize("limit", [0, 1e9])
def test_a_branch_by_torch_cond_is_exported_with_both_ways(limit):
    class Either(nn.Linear):
        def forward(self, x):
            return torch.cond(x.sum() > limit, super().forward, lambda x: x[:, :4].sin(), (x,))

    assert judged(Either(6, 4), Exports()).headline == "kept exports: exported to torch.export with the same outputs"


class Branches(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x


def test_python_that_branches_on_values_is_named_with_its_line():
    (finding,) = judged(nn.Sequential(nn.Linear(6, 6), Branches()), Exports()).findings
    assert finding.message.startswith("torch.export fails")
    assert finding.where.file.endswith("test_export.py")
    assert "if x.sum() > 0:" in Path(__file__).read_text().splitlines()[finding.where.line - 1]


def test_a_value_that_is_fixed_when_it_is_exported_gives_another_output():
    class Counts(nn.Module):
        calls = 0

        def forward(self, x):
            Counts.calls += 1
            return x * Counts.calls

    outcome = judged(Counts(), Exports())
    assert outcome.summary.startswith("the program of torch.export gives another output (by ")


@pytest.mark.skipif(importlib.util.find_spec("onnx") is not None, reason="onnx is installed")
def test_onnx_that_is_not_installed_is_an_error_and_what_to_do():
    outcome = judged(nn.Linear(6, 4), Exports(to=("onnx",)))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary.startswith("the export to ONNX")
    assert outcome.summary.endswith("needs the packages `onnx` and `onnxscript`, not installed here")


@pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="onnx and onnxscript are not installed")
def test_onnx_is_written_and_checked():
    assert judged(nn.Linear(6, 4), Exports(to=("torch.export", "onnx"))).verdict is Verdict.KEPT
    assert judged(Branches(), Exports(to=("onnx",))).summary.startswith("onnx fails")


def test_an_export_to_nothing_is_refused():
    with pytest.raises(ValueError, match="is empty"):
        Exports(to=())


@pytest.mark.parametrize("rule", [StateDictRoundTrip(), Exports()])
def test_without_memory_there_is_nothing_to_try(rule):
    with torch.device("meta"):
        model = nn.Linear(6, 4)
    facts = measure_model(model, example=ROWS.to("meta"), needs=rule.needs)
    assert facts.behaviour == {}
