"""The README: it is short, its report is real, and its figures are those that are measured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

from tests.pages.page_blocks import ROOT, blocks, text_of, the_block

README = text_of("README")


def run(*arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_fits_three_screens():
    assert len((ROOT / "README.md").read_bytes()) <= 8_000
    assert README.count("\n") <= 150


def test_the_report_is_what_the_command_prints():
    """Each part is whole, and all are in their order; `…` stands for what is left out between them."""
    ((command, shown),) = the_block("text", "$ archcheck report").commands
    parts = re.split(r"^…\n", shown, flags=re.MULTILINE)
    assert len(parts) > 2
    rest = run(*command.split())
    assert rest.startswith(parts[0])
    assert rest.endswith(parts[-1])
    for part in parts:
        before, found, rest = rest.partition(part)
        assert found, part
        assert part == parts[0] or before


def test_fvcore_counts_of_the_flagship_what_is_said():
    (said,) = re.findall(r"`(fvcore counts [^`]+)`", text_of("counting"))
    report = run("archcheck", "report", "reference_models/mnist/model.py", "--cross-check")
    assert re.search(rf"^  cross-check +{re.escape(said)}$", report, re.MULTILINE)


def test_the_evidence_is_what_the_record_says():
    assert run("reference_models.mnist.record") == the_block("text", "A, 15 epochs").text


def test_the_spread_of_the_seeds_is_what_the_record_says():
    (first,) = re.findall(r"^A, .* ([\d.]+ to [\d.]+)%, n = 10$", the_block("text", "A, 15 epochs").text, re.MULTILINE)
    assert f"The ten runs of the flagship reach {first} %" in text_of("how-sure")


def test_the_figures_of_the_flagship_are_those_that_are_measured():
    assert run("archcheck", "sync", "--check", "README.md", "mnist").startswith("same     README.md: ")
    assert re.search(r"^\| test accuracy \| 99\.\d\d % \(mean, n = 10 seeds\) \|$", README, re.MULTILINE)


def test_there_are_two_lines_and_each_makes_its_own_environment():
    first, second = blocks("sh", "README")[0].text.splitlines()
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[")
    assert first.endswith(".venv/bin/archcheck report reference_models/mnist/model.py && .venv/bin/archcheck check")
    assert second.endswith(".venv/bin/python -m pytest --archcheck -n 2")


def test_the_licence_of_the_data_is_named():
    assert "Yann LeCun, Corinna Cortes and Christopher J. C. Burges, under CC BY-SA 3.0" in " ".join(README.split())


def test_the_container_is_one_that_docker_can_be_asked_for():
    """The words are those of a shell, and each option that bounds the container is there once."""
    command = the_block("sh", "docker run").text
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--pids-limit", "--memory", "--user"):
        assert command.count(option) == 1


def test_the_markers_that_are_shown_are_read(tmp_path):
    """Outside of code they are markers, which `archcheck sync` fills for the contract of the same page."""
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.mnist]\nmodel = "net.py:Net"\ninput = [1, 3]\nrules.synced = "README.md"\n'
    )
    (tmp_path / "net.py").write_text("from torch import nn\nNet = lambda: nn.Linear(3, 4)\n")
    (tmp_path / "README.md").write_text(the_block("html", "archcheck: mnist").text)
    command = [sys.executable, "-m", "archcheck", "sync"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "<!-- archcheck: mnist params.total -->16<!-- /archcheck -->" in (tmp_path / "README.md").read_text()
    assert "| parameters | 16 |" in (tmp_path / "README.md").read_text()


def test_the_table_of_costs_is_one_that_the_benchmark_prints():
    """Its columns are the benchmark's, and a run takes as long as its epochs."""
    header, *lines = the_block("text", " way").text.splitlines()
    source = (ROOT / "tests" / "benchmarks" / "training.py").read_text(encoding="utf-8")
    columns = ("way", "epochs", "CPU s an epoch", "CPU s a run", "of the usual way")
    assert header.split() == " ".join(columns).split()
    assert f"Table({', '.join(map(json.dumps, columns))}, box=None)" in source
    cells = [re.split(r"  +", line.strip()) for line in lines]
    for _, epochs, each, whole, _ in cells:
        assert abs(float(epochs) * float(each) - float(whole)) <= float(epochs) / 20 + 0.5


GRADED = """
[tool.archcheck.subjects.wide]
model = "wide.py:Net"
input = [1, 1, 28, 28]
training = {{ {training} }}
[tool.archcheck.subjects.wide.rules]
{rules}
"""

WIDE = """
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3)
        self.norm = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * 26 * 26, 10)

    def forward(self, x):
        x = F.dropout(self.conv(x).relu(), 0.1, self.training)
        return self.fc(x.flatten(1))
"""


def test_the_assignment_grades_the_flagship_and_a_net_that_fails_it(tmp_path):
    """The failing net declares BatchNorm and never calls it, is far too large, and has no record of a training."""
    assignment = the_block("toml", "subjects.assignment").text
    stated = tomllib.loads(assignment)["tool"]["archcheck"]["subjects"]["assignment"]
    training = ", ".join(f"{key} = {json.dumps(value)}" for key, value in stated["training"].items())
    rules = assignment.partition("[tool.archcheck.subjects.assignment.rules]\n")[2]
    (tmp_path / "pyproject.toml").write_text(assignment + GRADED.format(training=training, rules=rules))
    (tmp_path / "reference_models").symlink_to(ROOT / "reference_models")
    (tmp_path / "wide.py").write_text(WIDE)
    command = [sys.executable, "-m", "archcheck", "check", "--jobs", "2", "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    flagship, wide = json.loads(done.stdout)["reports"]
    assert (flagship["earned"], flagship["points"]) == (10, 10)
    assert "`earned 10 of 10 points`" in text_of("grading")
    assert (wide["earned"], wide["points"]) == (3, 10)
    assert {each["instance"]: (each["verdict"], each["earned"], each["points"]) for each in wide["outcomes"]} == {
        "max-params": ("broken", 0, 2),
        "requires-1": ("broken", 0, 1),
        "requires-2": ("kept", 1, 1),
        "requires-any": ("kept", 1, 1),
        "no-hidden-weights": ("kept", 1, 1),
        "min-accuracy": ("error", 0, 4),
    }
    assert done.returncode == 2


def test_the_rule_of_a_user_and_its_test(tmp_path):
    rule, test = the_block("python", "class MaxDepth").text, the_block("python", "def test_max_depth").text
    assert rule.count("\n") + test.count("\n") < 20
    (tmp_path / "house_rules.py").write_text(rule)
    (tmp_path / "test_house_rules.py").write_text(test)
    (tmp_path / "wide.py").write_text(WIDE)
    (tmp_path / "archcheck.toml").write_text(
        'plugins = ["house_rules"]\n[subjects.wide]\nmodel = "wide.py:Net"\ninput = [1, 1, 28, 28]\n'
        "rules.max-depth = [1, 2]\n"
    )

    def house(*arguments):
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    tested = house("pytest", "-q", "-p", "no:cacheprovider")
    assert "1 passed" in tested.stdout, tested.stdout
    checked = house("archcheck", "check")
    assert checked.returncode == 1
    assert "broken   max-depth-1  wide: 2 layers with weights, limit 1\n" in checked.stdout
    assert "kept     max-depth-2  wide: 2 layers with weights, limit 2\n" in checked.stdout
    listed = house("archcheck", "rules").stdout
    assert re.search(r"^house_rules\n  max-depth +At most `limit` convolutions", listed, re.MULTILINE)
    page = house("archcheck", "explain", "max-depth")
    assert page.stdout.startswith("max-depth: At most `limit` convolutions and linear layers are executed.\n")
    assert "says = 2 layers with weights, limit 1\n" in page.stdout
