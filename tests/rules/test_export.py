"""`state-dict-round-trip` and `exports`: state that stays behind, code that no exporter can follow."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import SubjectError
from archcheck.judging.engine import check
from archcheck.measure import measure_model
from archcheck.measure.behaviour import other_runtimes
from archcheck.measure.loading.example import given
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


def without(monkeypatch, *names):
    """Let these packages be missing."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else find(name, *rest))


@pytest.mark.parametrize(
    ("to", "missing", "said"),
    [
        ("onnx", ("onnx", "onnxscript"), "the export to ONNX needs the packages `onnx` and `onnxscript`"),
        ("executorch", ("executorch",), "the export to ExecuTorch needs the package `executorch`"),
    ],
)
def test_a_package_that_is_not_installed_is_an_error_and_what_to_do(to, missing, said, monkeypatch):
    without(monkeypatch, *missing)
    outcome = judged(nn.Linear(6, 4), Exports(to=(to,)))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary == f"{said}, not installed here"


def installed(*names):
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def why_no_onnx():
    try:
        other_runtimes.TARGETS["onnx"].demand()
    except SubjectError as error:
        return str(error)
    return ""


writes_onnx = pytest.mark.skipif(bool(why_no_onnx()), reason=why_no_onnx())


class Several(nn.Linear):
    """Several outputs of several dtypes, some of them complex, from arguments by keyword."""

    def forward(self, *, x, times=2):
        return {"scaled": super().forward(x) * times, "place": x.argmax(1), "rest": (torch.fft.rfft(x), x)}


@writes_onnx
@installed("onnxruntime")
@pytest.mark.parametrize(
    ("model", "example"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5)), torch.randn(1, 1, 8, 8)),
        (nn.LSTM(6, 5), torch.randn(4, 2, 6)),
        (Several(6, 4), {"x": ROWS}),
        (nn.Linear(6, 4).double(), ROWS.double()),
    ],
)
def test_a_program_in_onnx_runs_in_its_runtime(model, example):
    outcome = judged(model, Exports(to=("onnx",)), example)
    assert outcome.headline == "kept exports: exported to onnx with the same outputs"
    assert outcome.notes == ("onnx: run by onnxruntime",)


@writes_onnx
@installed("onnxruntime")
def test_a_contract_runs_the_program_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCHECK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "model.py").write_text(MODEL.format(line="self.register_buffer('mask', torch.ones(6))"))
    contract = CONTRACT.replace("state-dict-round-trip = true", 'exports = ["onnx"]')
    (tmp_path / "archcheck.toml").write_text(contract)
    run = subprocess.run([sys.executable, "-m", "archcheck", "check"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "exported to onnx with the same outputs" in run.stdout
    assert "run by onnxruntime" in run.stdout


@writes_onnx
def test_what_onnx_cannot_hold_is_broken():
    assert judged(Branches(), Exports(to=("onnx",))).summary.startswith("onnx fails")


@writes_onnx
def test_without_the_runtime_the_evaluator_of_onnx_compares(monkeypatch):
    without(monkeypatch, "onnxruntime")
    outcome = judged(nn.Sequential(nn.Linear(6, 4), nn.Tanh()), Exports(to=("torch.export", "onnx")))
    assert outcome.headline == "kept exports: exported to torch.export and onnx with the same outputs"
    assert outcome.notes == ("onnx: run by the reference evaluator of onnx",)


@installed("executorch")
def test_a_program_for_executorch_runs_in_its_runtime():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    outcome = judged(model, Exports(to=("executorch",)), torch.randn(1, 1, 8, 8))
    assert outcome.headline == "kept exports: exported to executorch with the same outputs"
    assert outcome.notes == ("executorch: run by the runtime of ExecuTorch",)
    assert judged(Branches(), Exports(to=("executorch",))).summary.startswith("executorch fails")


@pytest.mark.parametrize(
    ("to", "package"),
    [
        pytest.param("onnx", "onnxruntime", marks=[writes_onnx, installed("onnxruntime")]),
        pytest.param("executorch", "the runtime of ExecuTorch", marks=installed("executorch")),
    ],
)
def test_another_program_gives_another_output(to, package, monkeypatch):
    other = torch.export.export(nn.Linear(6, 4), (ROWS,))
    target = other_runtimes.TARGETS[to]
    swapped = replace(target, write=lambda program: target.write(other))
    monkeypatch.setitem(other_runtimes.TARGETS, to, swapped)
    outcome = judged(nn.Linear(6, 4), Exports(to=(to,)))
    assert outcome.summary.startswith(f"the program of {to} gives another output (by ")
    assert outcome.notes == (f"{to}: run by {package}",)


def test_an_exporter_that_lacks_a_package_accuses_nobody(monkeypatch):
    def lacks(program):
        raise ModuleNotFoundError("No module named 'onnx_ir'", name="onnx_ir")

    target = other_runtimes.Target(demand=lambda: None, write=lacks, runners=dict)
    monkeypatch.setitem(other_runtimes.TARGETS, "onnx", target)
    outcome = judged(nn.Linear(6, 4), Exports(to=("onnx",)))
    assert outcome.verdict is Verdict.ERROR
    assert outcome.summary == "the exporter lacks a package: ModuleNotFoundError: No module named 'onnx_ir'"


def test_a_runtime_without_a_kernel_gives_way_to_the_next():
    def lacks(*args):
        raise NotImplementedError("no kernel for it")

    example = given(ROWS)
    name, outputs, failure = other_runtimes.run_by_first({"first": lacks, "second": torch.tanh}, example)
    assert (name, failure) == ("second", None)
    assert torch.equal(outputs[""], ROWS.tanh())
    name, outputs, failure = other_runtimes.run_by_first({"first": lacks, "second": lacks}, example)
    assert (name, outputs, str(failure)) == ("first", {}, "no kernel for it")


def test_an_export_to_nothing_is_refused():
    with pytest.raises(ValueError, match="is empty"):
        Exports(to=())


@pytest.mark.parametrize("rule", [StateDictRoundTrip(), Exports()])
def test_without_memory_there_is_nothing_to_try(rule):
    with torch.device("meta"):
        model = nn.Linear(6, 4)
    facts = measure_model(model, example=ROWS.to("meta"), needs=rule.needs)
    assert facts.behaviour == {}
