"""`tests/benchmarks/verdicts.py` finds what two versions judge otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import verdicts
from tests.benchmarks.verdicts import CONTRACT, SUBJECT, differences, read, summary

BEFORE = {("a", "net", "max-params"): "kept", ("a", "net", "requires"): "kept", ("b", "old", SUBJECT): "error: import"}


def test_the_same_verdicts_are_counted_and_nothing_else() -> None:
    assert differences(BEFORE, dict(reversed(BEFORE.items()))) == []
    assert summary(BEFORE, BEFORE) == ("after: 2 kept, 1 error\n3 verdicts of 2 subjects; 0 differ\n", 0)


def test_every_verdict_that_differs_is_a_row_one_that_is_missing_too() -> None:
    after = {
        ("a", "net", "max-params"): "broken",
        ("a", "net", "requires"): "kept",
        ("b", "old", "max-params"): "kept",
        ("b", "old", SUBJECT): "error: construct",
    }
    assert differences(BEFORE, after) == [
        ("a", "net", "max-params", "kept", "broken"),
        ("b", "old", SUBJECT, "error: import", "error: construct"),
        ("b", "old", "max-params", "-", "kept"),
    ]
    text, code = summary(BEFORE, after)
    assert code == 1
    assert text == (
        "corpus  subject  rule        before         after\n"
        "a       net      max-params  kept           broken\n"
        "b       old      (subject)   error: import  error: construct\n"
        "b       old      max-params  -              kept\n"
        "after: 2 kept, 1 broken, 1 error\n"
        "4 verdicts of 2 subjects; 3 differ\n"
    )
    assert summary(BEFORE, {})[1] == summary({}, BEFORE)[1] == 1


def test_a_report_is_read_by_subject_and_instance_and_a_refusal_is_a_verdict() -> None:
    outcomes = [{"instance": "requires", "verdict": "kept"}, {"instance": "requires[2]", "verdict": "broken"}]
    failed = {"subject": "gone", "error": {"kind": "import", "message": "…"}, "outcomes": []}
    document = {"reports": [{"subject": "net", "outcomes": outcomes, "facts": {}}, failed]}
    assert read(json.dumps(document), "") == {
        ("net", "requires"): "kept",
        ("net", "requires[2]"): "broken",
        ("gone", SUBJECT): "error: import",
    }
    assert read("", "archcheck: error: no such rule\nmore\n") == {
        (CONTRACT, CONTRACT): "refused: archcheck: error: no such rule"
    }
    assert read("", "") == {(CONTRACT, CONTRACT): "refused: nothing was said"}


def write_tiny(folder: Path) -> None:
    (folder / "net.py").write_text("import torch\nNet = lambda: torch.nn.Linear(3, 4)\n")
    rules = "rules.max-params = 15\nrules.no-frozen-params = true\n"
    (folder / "archcheck.toml").write_text(f'[subjects.net]\nmodel = "net.py:Net"\ninput = [1, 3]\n{rules}')


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    """An interpreter in which another archcheck is found, whose `max-params` keeps everything."""
    package = Path(verdicts.__file__).parents[2] / "archcheck"
    shutil.copytree(package, tmp_path / "archcheck", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "archcheck" / "rules" / "budget.py").open("a") as file:
        file.write("\nMaxParams.check = lambda self, facts: Result(examined=1)\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def test_a_revision_and_two_interpreters_judge_the_same_files(monkeypatch, capfd, lenient: Path) -> None:
    monkeypatch.setattr(verdicts, "CORPORA", {"tiny": write_tiny})
    ran, true = ("tiny", "net", "no-frozen-params"), ("tiny", "net", "max-params")
    worktrees = ["git", "-C", verdicts.ROOT, "worktree", "list"]
    before = subprocess.check_output(worktrees)
    assert verdicts.judge(sys.executable, ["tiny"]) == {true: "broken", ran: "kept"}
    assert verdicts.judge("HEAD", ["tiny"]) == {true: "broken", ran: "kept"}
    assert subprocess.check_output(worktrees) == before
    monkeypatch.setattr(sys, "argv", ["verdicts.py", sys.executable, str(lenient), "--corpus", "tiny"])
    assert verdicts.main() == 1
    assert capfd.readouterr().out == (
        "corpus  subject  rule        before  after\n"
        "tiny    net      max-params  broken  kept\n"
        "after: 2 kept\n"
        "2 verdicts of 1 subject; 1 differs\n"
    )


def test_a_version_is_that_of_the_revision_and_not_the_installed_one() -> None:
    with verdicts.command_of("HEAD") as (command, variables):
        asked = [command[0], "-c", "import archcheck; print(archcheck.__file__)"]
        found = subprocess.check_output(asked, env=variables, cwd="/", text=True)
        assert Path(found).is_relative_to(variables["PYTHONPATH"])
    assert not Path(variables["PYTHONPATH"]).exists()


def test_what_is_no_version_is_told() -> None:
    with pytest.raises(SystemExit, match="neither a Python interpreter nor a revision"), verdicts.command_of("v-1"):
        pass


def test_every_corpus_has_subjects_and_its_contract_is_read(tmp_path: Path) -> None:
    from archcheck.contract import load

    for name, write in verdicts.CORPORA.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder)
        contract = load(folder / ("pyproject.toml" if name == "reference" else "archcheck.toml"))
        assert len(contract.subjects) >= {"reference": 1, "harmless": 20}.get(name, 50), name
