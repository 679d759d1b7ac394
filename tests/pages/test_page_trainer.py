"""The manual's trainer, as a reader would use it: trained and checked by the command, and each fault planted in it."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.pages.page_blocks import the_block

CODE = the_block("python", "def blobs").text
CONTRACT = the_block("toml", "blobs.py").text
NAMES = ["min-accuracy", "record-matches-model", "augmentation-reaches-the-batch", "held-out-test-is-disjoint"]


@pytest.fixture(scope="module")
def trained(archcheck, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")
    (folder / "blobs.py").write_text(CODE)
    (folder / "pyproject.toml").write_text(CONTRACT)
    run = archcheck("train", "blobs", "--seed", "0", "--seed", "1", "--seed", "2", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("archcheck: note: seed") == 15, run.stderr
    return folder


def verdicts(archcheck, folder):
    run = archcheck("check", "--format", "json", cwd=folder)
    (report,) = json.loads(run.stdout)["reports"]
    return run.returncode, [each["verdict"] for each in report["outcomes"]]


def test_it_is_short_and_knows_nothing_of_archcheck():
    assert CODE.count("\n") < 40
    assert "archcheck" not in CODE


def test_trained_and_checked_it_keeps_its_contract(trained, archcheck):
    assert verdicts(archcheck, trained) == (0, ["kept"] * 4)
    record = json.loads((trained / "record.json").read_text())
    assert [run["seed"] for run in record["runs"]] == [0, 1, 2]
    assert record["recipe"] == "Adam, noise of 0.1"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (" + torch.randn(len(chosen), 8) / 10", "", "augmentation-reaches-the-batch"),
        ('"test": blobs(400, seed=2)', '"test": blobs(400, seed=1)', "held-out-test-is-disjoint"),
        ("nn.ReLU()", "nn.Sigmoid()", "record-matches-model"),
    ],
)
def test_a_fault_breaks_its_rule(old, new, rule, trained, archcheck, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "blobs")
    assert old in CODE
    (folder / "blobs.py").write_text(CODE.replace(old, new))
    _, found = verdicts(archcheck, folder)
    assert found[NAMES.index(rule)] == "broken"
