"""A buffer made by a formula counts as the numbers of the formula; a chosen one counts as its elements."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.cli_samples import environment

SUBJECTS = Path(__file__).with_name("formula_subjects")
HELPERS = {"Added", "Sized"}


def classes(file):
    tree = ast.parse((SUBJECTS / f"{file}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name not in HELPERS]


HONEST = [(file, name) for file in ("formula_tables", "formula_filters") for name in classes(file)]
CHOSEN = [(file, name) for file in ("chosen_tables", "overwritten_tables") for name in classes(file)]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The reports of one run over all subjects, by the name of the class."""
    folder = tmp_path_factory.mktemp("formulas")
    for file in SUBJECTS.glob("*.py"):
        shutil.copy(file, folder)
    numbers = np.random.default_rng(7).normal(size=640).astype("float32")
    torch.save(torch.from_numpy(numbers), folder / "numbers.pt")
    np.save(folder / "numbers.npy", numbers)
    entries = [
        f'[subjects.{name}]\nmodel = "{file}.py:{name}"\ninput = [2, 3, 32, 32]\nrules.no-hidden-weights = true\n'
        for file, name in (*HONEST, *CHOSEN)
    ]
    (folder / "archcheck.toml").write_text("\n".join(entries), encoding="utf-8")
    command = [sys.executable, "-m", "archcheck", "check", "--no-cache", "--format", "json", "--output", "out.json"]
    subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=False)
    return {report["subject"]: report for report in json.loads((folder / "out.json").read_text())["reports"]}


def verdict(report):
    assert report.get("error") is None, report["error"]
    return report["outcomes"][0]["verdict"]


@pytest.mark.parametrize("name", [name for _, name in HONEST])
def test_a_table_that_a_formula_makes_hides_nothing(reports, name):
    assert verdict(reports[name]) == "kept", reports[name]["outcomes"]


@pytest.mark.parametrize("name", [name for _, name in CHOSEN])
def test_a_table_that_was_chosen_weighs_its_elements_whatever_made_it(reports, name):
    assert verdict(reports[name]) == "broken"
