"""The README tells the truth: its output is real, its code runs, its table and figures are those of the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.judging.rule_pages import promise
from archcheck.rules import BUILTIN
from archcheck.rules.base import rule_name

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def run(*arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_report_is_what_the_command_prints():
    shown, _, output = blocks("")[0].partition("\n")
    assert shown == "$ archcheck report reference_models/mnist/model.py"
    assert same_but_for_rounding(
        run("archcheck", "report", "reference_models/mnist/model.py")
    ) == same_but_for_rounding(output)


def test_fvcore_counts_of_the_flagship_what_is_said():
    (said,) = re.findall(r"`(fvcore counts [^`]+)`", README)
    assert f"  cross-check  {said}\n" in run("archcheck", "report", "reference_models/mnist/model.py", "--cross-check")


def same_but_for_rounding(text: str) -> str:
    """Leave out the count of the fresh evaluation: another processor may round an image to the other side."""
    return re.sub(r"9,9\d\d of 10,000( correct on the held-out test set \(99\.\d\d %\))?", "… of 10,000", text)


def test_the_evidence_is_what_the_record_says():
    assert run("reference_models.mnist.record") == blocks("")[1]


def test_the_figures_of_the_flagship_are_those_that_are_measured():
    assert run("archcheck", "sync", "--check", "README.md", "mnist").startswith("same     README.md: ")
    assert re.search(r"^\| test accuracy \| 99\.\d\d % \(mean, n = 10 seeds\) \|$", README, re.MULTILINE)


def test_the_rule_table_is_made_of_the_rules():
    rows = [f"| `{rule_name(rule)}` | {promise(rule)} |" for rule in BUILTIN]
    assert "\n".join(rows) in README


@pytest.mark.parametrize("code", [text for text in blocks("python") if "MaxDepth" not in text])
def test_python_runs(code):
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("text", blocks("toml"))
def test_contracts_load(text, tmp_path):
    (tmp_path / "pyproject.toml").write_text(text)
    assert load(tmp_path / "pyproject.toml").subjects


def test_there_are_two_lines_and_each_makes_its_own_environment():
    first, second = blocks("sh")[0].splitlines()
    for line in (first, second):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install --quiet --editable '.[")
    assert first.endswith(".venv/bin/archcheck report reference_models/mnist/model.py && .venv/bin/archcheck check")
    assert second.endswith(".venv/bin/python -m pytest --archcheck -n 2")


def test_the_named_files_exist():
    for name in re.findall(r"`((?:\.github|\.ci|reference_models|archcheck|tests)/[\w./-]+)`", README):
        assert (ROOT / name).exists(), name


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
    (assignment,) = [text for text in blocks("toml") if "points" in text]
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
    assert "(`earned 10 of 10 points`)" in README
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
    rule, test = [text for text in blocks("python") if "MaxDepth" in text]
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
