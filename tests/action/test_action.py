import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.action.workflow import Run, run_action

NETWORK = """
    import os
    from torch import nn

    print("::error::said by the subject")
    print("steering files:", [name for name in os.environ if name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(x)
"""
CONTRACT = """
    [subjects.good]
    model = "network.py:Net"
    input = [1, 4]
    [subjects.good.rules]
    max-params = 10

    [subjects.fat]
    model = "network.py:Net"
    input = [1, 4]
    [subjects.fat.rules]
    max-params = { limit = 9, because = "it must fit" }

    [subjects.lost]
    model = "nowhere.py:Net"
    [subjects.lost.rules]
    max-params = 10
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    (folder / ".git").mkdir()
    inner = folder / "week 3"
    inner.mkdir()
    (inner / "network.py").write_text(dedent(NETWORK))
    (inner / "archcheck.toml").write_text(dedent(CONTRACT))
    (inner / "mistake.toml").write_text("[subjects.good]\nmodle = 1\n")
    return folder


def run(workspace: Path, temporary: Path, **inputs: str) -> Run:
    inputs = {"working-directory": "week 3", "python": sys.executable, "install": "", **inputs}
    return run_action(workspace, temporary, inputs)


@pytest.fixture(scope="module")
def good(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(workspace, tmp_path_factory.mktemp("good"), subjects="good")


@pytest.fixture(scope="module")
def every(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(workspace, tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def broken(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(workspace, tmp_path_factory.mktemp("broken"), subjects="good\n  fat")


def test_a_kept_contract_passes_the_gate(good: Run) -> None:
    assert (good.code, good.outputs["verdict"], good.logs["Annotate"]) == (0, "kept", "")
    assert list(good.logs) == [
        "Set up archcheck", "Read the base", "Check", "Annotate", "Summarise", "Comment", "Gate",
    ]  # fmt: skip
    assert good.summary.startswith("### archcheck: kept\n")
    assert "| max-params | kept | 10 parameters | 10 |" in good.summary


def test_only_the_named_subjects_are_checked(good: Run, broken: Run) -> None:
    assert subjects(good) == ["good"]
    assert subjects(broken) == ["good", "fat"]


def subjects(run: Run) -> list[str]:
    document = json.loads(Path(run.outputs["report"]).read_text())
    return [report["subject"] for report in document["reports"]]


def test_a_broken_rule_closes_the_gate_after_everything_was_said(broken: Run) -> None:
    assert (broken.code, broken.outputs["verdict"]) == (1, "broken")
    assert list(broken.logs)[-1] == "Gate"
    assert "**broken**" in broken.summary


def test_the_annotation_is_on_the_line_in_the_repository(broken: Run) -> None:
    (line,) = broken.logs["Annotate"].splitlines()
    assert line.startswith(
        "::error file=week 3/network.py,line=8,title=broken max-params (fat)::10 parameters, limit 9"
    )
    assert "%0Awhy: it must fit" in line


def test_a_subject_that_cannot_be_checked_is_an_error_and_stops_no_other(every: Run) -> None:
    assert (every.code, every.outputs["verdict"]) == (2, "error")
    assert subjects(every) == ["good", "fat", "lost"]
    assert every.summary.startswith("### archcheck: could not be checked\n")
    assert "::error title=archcheck%3A lost::" in every.logs["Annotate"]


def test_when_no_subject_can_be_checked_it_is_said_in_every_place(workspace: Path, tmp_path: Path) -> None:
    lost = run(workspace, tmp_path, subjects="lost")
    assert (lost.code, lost.outputs["verdict"]) == (2, "error")
    assert "::error title=archcheck%3A lost::" in lost.logs["Annotate"]
    assert "#### lost" in lost.summary


def test_a_contract_with_mistakes_never_passes(workspace: Path, tmp_path: Path) -> None:
    wrong = run(workspace, tmp_path, config="mistake.toml")
    assert (wrong.code, wrong.outputs["verdict"]) == (2, "error")
    assert "mistake.toml:2" in wrong.logs["Check"]
    assert wrong.logs["Annotate"].startswith("::error title=archcheck::nothing was checked")
    assert wrong.summary == "### archcheck: nothing was checked\n"


def test_the_log_of_the_check_shows_the_report_for_people(good: Run) -> None:
    assert "10 (10 trainable, 0 frozen)" in good.logs["Check"]
    assert "1 rule: 1 kept" in good.logs["Check"]


def test_the_summary_is_kept_for_later_steps(good: Run) -> None:
    assert Path(good.outputs["summary"]).read_text() == good.summary


def test_the_report_is_written_as_sarif_where_that_is_asked_for(workspace: Path, tmp_path: Path) -> None:
    fat = run(workspace, tmp_path, subjects="fat", sarif="archcheck.sarif")
    (report,) = json.loads((workspace / "week 3" / "archcheck.sarif").read_text())["runs"]
    (result,) = report["results"]
    pages = {rule["helpUri"].rpartition("/rules/")[0] for rule in report["tool"]["driver"]["rules"]}
    assert pages == {"https://github.com/SOME/NETWORK/blob/c0ffee/archcheck/pages"}
    place = result["locations"][0]["physicalLocation"]
    assert (fat.code, place["artifactLocation"]["uri"], place["region"]["startLine"]) == (1, "week%203/network.py", 8)


def test_a_summary_that_the_runner_would_refuse_is_cut(workspace: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path, 'yes "| a row |" | head -n 200000')
    before = {"setup": {"python": str(python)}, "check": {"report": str(Path(__file__)), "code": "0"}}
    cut = run_action(workspace, tmp_path, {}, only="Summarise", before=before)
    assert (cut.code, len(cut.summary)) == (0, 1_000_000)


def test_what_the_subject_prints_is_no_command(good: Run) -> None:
    lines = good.logs["Check"].splitlines()
    stop = next(number for number, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[stop].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert stop < lines.index("::error::said by the subject") < lines.index(f"::{token}::")


def test_the_subject_is_not_told_of_the_runner_s_files(good: Run) -> None:
    assert "steering files: []" in good.logs["Check"].splitlines()


def test_inputs_are_words_and_not_shell(workspace: Path, tmp_path: Path) -> None:
    evil = run(workspace, tmp_path, subjects='$(touch pwned) "; touch pwned; "', config="`touch pwned`")
    assert evil.code == 2
    assert not [*workspace.rglob("pwned")]


def test_a_check_that_dies_without_a_report_never_passes(workspace: Path, tmp_path: Path) -> None:
    python = fake_python(tmp_path, "exit 0")
    assert run(workspace, tmp_path, python=str(python)).code == 2
    python = fake_python(tmp_path, 'case "$*" in *" check "*) exit 137 ;; esac')
    dead = run(workspace, tmp_path, python=str(python))
    assert (dead.code, dead.outputs["verdict"]) == (137, "error")


def fake_python(folder: Path, script: str) -> Path:
    file = folder / "python"
    file.write_text(f"#!/bin/bash\n{script}\n")
    file.chmod(0o755)
    return file
