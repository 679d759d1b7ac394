"""Values that decide what runs, as users meet them: contracts are judged by many real passes, and reports say so."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from archcheck.judging.engine import measure
from tests.measure.networks import Apply

NETWORKS = Path(__file__).parents[1] / "measure" / "value_networks.py"
UNUSED = "no-unused-layers = true, no-unused-params = true"
SUBJECTS = {  # network: (shape of its input, rules, what is broken)
    "Ternary": (
        "4, 8",
        f'{UNUSED}, max-macs = 256, head = "linear", count = {{ kind = "linear", min = 1, max = 1 }}',
        [],
    ),
    "Returns": ("4, 8", f"{UNUSED}, max-macs = 256", []),
    "Nowhere": ("4, 8", UNUSED, ["no-unused-layers", "no-unused-params"]),
    "Rarely": ("4, 8", f"{UNUSED}, max-macs = 511", ["max-macs"]),
    "TopOne": ("4, 8", UNUSED, []),
    "TopTwo": ("4, 8", f"{UNUSED}, max-macs = 768", []),
    "Biased": ("4, 8", UNUSED, []),
    "Unreachable": ("4, 8", UNUSED, ["no-unused-layers", "no-unused-params"]),
    "Pretends": ("4, 8", UNUSED, ["no-unused-layers", "no-unused-params"]),
    "Many": ("4, 8", UNUSED, []),
    "Exits": ("4, 8", f"{UNUSED}, max-macs = 1024", []),
    "PythonDrop": ("4, 8", UNUSED, []),
    "NumpyDrop": ("4, 8", UNUSED, []),
    "TorchDrop": ("4, 8", UNUSED, []),
    "OftenDrop": ("4, 8", UNUSED, []),
    "AlwaysDrop": ("4, 8", UNUSED, ["no-unused-layers", "no-unused-params"]),
    "Halting": ("4, 8", UNUSED, []),
    "Nonzero": ("4, 8", UNUSED, []),
    "SometimesNorm": ("4, 8", f'{UNUSED}, requires = ["layer_norm"]', []),
    "Hollow": ("4, 8", 'requires = ["layer_norm"], no-unused-params = true', ["no-unused-params", "requires"]),
    "HollowElsewhere": ("4, 8", 'requires = ["layer_norm"], no-unused-params = true', ["no-unused-params", "requires"]),
    "Forbidden": ("3, 2, 8", 'forbids = ["linear"]', ["forbids"]),
    "Checks": ("4, 8", UNUSED, []),
    "DropsAtRandom": ("4, 8", f'{UNUSED}, requires = ["dropout"], dropout-rate = 0.5', []),
    "Heads": ("3, 2, 8", 'head = "linear"', ["head"]),
    "Never": ("4, 8", 'no-unused-layers = true, requires = ["dropout"]', ["no-unused-layers", "requires"]),
    "Always": ("4, 8", 'no-unused-layers = true, requires = ["dropout"]', []),
    "Extra": ("4, 8", f"{UNUSED}, max-training-macs = 2047", ["max-training-macs"]),
    "Routed": ("3, 8", f"{UNUSED}, max-macs = 288", []),
}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "archcheck", *arguments, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("values")
    shutil.copy(NETWORKS, folder / "nets.py")
    lines = [
        f'[subjects.{name}]\nmodel = "nets.py:{name}"\ninput = [{shape}]\nrules = {{ {rules} }}\n'
        for name, (shape, rules, _) in SUBJECTS.items()
    ]
    (folder / "archcheck.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def judged(folder: Path) -> dict[str, dict[str, object]]:
    """All subjects, judged by one process."""
    document = json.loads(run(folder, "check", "--format", "json").stdout)
    return {report["subject"]: report for report in document["reports"]}


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_is_judged_by_all_passes(judged, name):
    outcomes = judged[name]["outcomes"]
    assert sorted(each["rule"] for each in outcomes if each["verdict"] != "kept") == SUBJECTS[name][2], outcomes


def said(judged, name, rule):
    outcome = next(each for each in judged[name]["outcomes"] if each["rule"] == rule)
    return "; ".join([outcome["kept"] or "", *(each["message"] for each in outcome["findings"]), *outcome["notes"]])


def test_the_share_of_passes_is_said(judged):
    assert "1 dropout in 7 of 16 passes" in said(judged, "DropsAtRandom", "requires")
    assert "1 layer_norm in " in said(judged, "SometimesNorm", "requires")
    assert "`linear` (Linear) in " in said(judged, "Forbidden", "forbids")
    assert "the largest of 16 passes" in said(judged, "Rarely", "max-macs")
    assert "broken in 1 of 2 ways" in said(judged, "Heads", "head")


def test_a_finding_names_the_line_that_decides(judged):
    line = next(i for i, each in enumerate(NETWORKS.read_text().splitlines(), 1) if "x.mean() > 1e9" in each)
    message = said(judged, "Nowhere", "no-unused-layers")
    assert (
        f"`b` (Linear) is never called in 16 passes in evaluation and 16 in training; nets.py:{line} decides" in message
    )
    assert "true in 0 of 16 passes" in message


def test_one_of_many_that_take_turns_is_no_finding_but_a_note(judged):
    assert "which take turns" in said(judged, "Many", "no-unused-layers")


def test_where_values_decide_nothing_no_word_is_said(judged):
    assert judged["Checks"]["facts"]["passes"] is None


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_reports_for_people_name_the_line(folder, form):
    text = " ".join(run(folder, "report", "nets.py:Ternary", "--input", "4,8", "--format", form).stdout.split())
    assert "nets.py:" in text
    assert "x.mean()" in text
    assert re.search(r"true in \d+ of 16 passes", text)


COMPARED = ("Never", "Always", "Extra", "Ternary", "Routed")


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, dict[str, object]]:
    """The facts of some subjects by a contract whose rules need nothing besides, from one process."""
    lines = [
        f'[subjects.{name}]\nmodel = "nets.py:{name}"\ninput = [{SUBJECTS[name][0]}]\nrules.max-params = 100_000\n'
        for name in COMPARED
    ]
    (folder / "compared.toml").write_text("\n".join(lines))
    told = run(folder, "check", "--config", "compared.toml", "--no-paranoid", "--format", "json").stdout
    return {report["subject"]: report["facts"] for report in json.loads(told)["reports"]}


@pytest.mark.parametrize("name", COMPARED)
def test_python_measures_what_the_command_line_does(folder, measured, monkeypatch, name):
    monkeypatch.chdir(folder)
    spec = importlib.util.spec_from_file_location("nets", folder / "nets.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "nets", module)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    shape = [int(each) for each in SUBJECTS[name][0].split(",")]
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    ours, theirs = json.loads(json.dumps(measure(getattr(module, name)(), example=example).to_json())), measured[name]
    for facts in (ours, theirs):
        del facts["subject"]["name"], facts["subject"]["target"]
    assert ours == theirs


def in_training_alone(self, x):
    y = self.fc(x)
    if not self.training:
        return y
    numbers = (x > 0).nonzero()[:, 0]
    return y + self.table(numbers + 100).sum()


@pytest.mark.parametrize("confirm", [True, False])
def test_a_mode_that_fails_on_real_numbers_leaves_the_other_one_measured(confirm):
    model = Apply(in_training_alone, fc=nn.Linear(4, 3), table=nn.Embedding(4, 3))
    facts = measure(model, example=torch.rand(2, 4), confirm=confirm)
    assert facts.cost.macs == 24
    assert [each.partition(":")[0] for each in facts.unmeasured] == ["training mode"] * confirm


@pytest.mark.parametrize(
    "example", [torch.empty(2, 4, device="meta"), torch.rand(2, 4), (torch.rand(2, 4), torch.empty(0))]
)
def test_what_has_no_memory_has_no_other_passes(example):
    with torch.device("meta"):
        model = Apply(lambda self, x, *_: self.fc(x), fc=nn.Linear(4, 3))
    facts = measure(model, example=example)
    assert (facts.params.unused, facts.unused_layers, facts.passes) == ((), (), None)


def test_numbers_that_are_conjugated_lazily_are_varied():
    def forward(self, x):
        return self.fc(x.real) if x.real.mean() > 0 else self.fc(-x.real)

    facts = measure(Apply(forward, fc=nn.Linear(4, 3)), example=torch.rand(2, 4, dtype=torch.complex64).conj())
    assert facts.passes is not None
    assert facts.passes.evaluation == 16


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int64])
def test_integers_of_any_width_are_varied(dtype):
    def forward(self, x):
        x = x.float()
        return self.fc(x) if x.mean() > 3 else self.other(x)

    model = Apply(forward, fc=nn.Linear(4, 3), other=nn.Linear(4, 3))
    facts = measure(model, example=torch.tensor([[1, 2, 3, 9]] * 2).to(dtype))
    assert (facts.params.unused, facts.unused_layers) == ((), ())


def test_a_mask_that_picks_out_of_a_parameter_is_a_value_that_decides():
    def forward(self, x):
        picked = self.table[x[0] > 0]
        return self.fc(x) if len(picked) > 2 else self.other(x)

    model = Apply(forward, fc=nn.Linear(4, 3), other=nn.Linear(4, 3), table=nn.Parameter(torch.rand(4)))
    facts = measure(model, example=torch.rand(2, 4) - 0.5)
    assert facts.unused_layers == ()
    assert [each.code for each in facts.passes.choices] == ["picked = self.table[x[0] > 0]"]
