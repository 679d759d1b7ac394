"""The README tells the truth: its output is real, its code runs, its table and figures are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from archcheck.contract import load
from archcheck.explain import promise
from archcheck.rule import rule_name
from archcheck.rules import BUILTIN

ROOT = Path(__file__).parent.parent
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


def test_the_rule_table_is_made_of_the_rules():
    rows = [f"| `{rule_name(rule)}` | {promise(rule)} |" for rule in BUILTIN]
    assert "\n".join(rows) in README


@pytest.mark.parametrize("code", blocks("python"))
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
