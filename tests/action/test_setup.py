"""The step that finds an interpreter and installs archcheck for it."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.action.workflow import Run, run_action


def set_up(workspace: Path, temporary: Path, **inputs: str) -> Run:
    inputs = {"install": "", **inputs}
    path = f"{temporary / 'tools'}{os.pathsep}{os.environ['PATH']}"
    return run_action(workspace, temporary, inputs, only="Set up archcheck", PATH=path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    command(tmp_path / "tools" / "python")
    return folder


def command(file: Path, script: str = "") -> Path:
    """Write a stand-in for an interpreter that notes each of its arguments in a line of `calls`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/bash\nprintf "%s\\n" "$0" "$@" >> "$RUNNER_TEMP/calls"\n{script}\n')
    file.chmod(0o755)
    return file


def calls(temporary: Path) -> list[str]:
    return (temporary / "calls").read_text().splitlines()


@pytest.mark.parametrize("content", [[], ["setup.py"], ["bin/readme.txt"], ["bin/python"]])
def test_a_folder_called_python_is_not_the_interpreter(workspace: Path, tmp_path: Path, content: list[str]) -> None:
    (workspace / "python").mkdir()
    for name in content:
        command(workspace / "python" / name)
    run = set_up(workspace, tmp_path)
    assert (run.code, run.steps["setup"]) == (0, {"python": str(tmp_path / "tools" / "python")})


@pytest.mark.parametrize("given", [".venv", "./.venv", ".venv/", ".venv/bin/python", "{}/.venv", "../workspace/.venv"])
def test_an_environment_may_be_named_by_folder_or_interpreter(workspace: Path, tmp_path: Path, given: str) -> None:
    own = command(workspace / ".venv" / "bin" / "python")
    run = set_up(workspace, tmp_path, python=given.format(workspace))
    assert run.code == 0
    assert Path(run.steps["setup"]["python"]).is_absolute()
    assert Path(run.steps["setup"]["python"]).samefile(own)


def test_the_interpreter_of_an_environment_stays_the_environments(workspace: Path, tmp_path: Path) -> None:
    venv.create(workspace / ".venv", with_pip=False)
    run = set_up(workspace, tmp_path, python=".venv")
    assert (run.code, run.steps["setup"]) == (2, {})  # it has no archcheck, unlike the one that it was made by
    assert "archcheck is not installed for `.venv`" in run.logs["Set up archcheck"]


def test_a_folder_called_python_is_meant_by_its_path(workspace: Path, tmp_path: Path) -> None:
    own = command(workspace / "python" / "bin" / "python")
    assert set_up(workspace, tmp_path, python="./python").steps["setup"] == {"python": str(own)}


@pytest.mark.parametrize("given", ["nowhere", "folder", "./folder", "file.txt", "./file.txt", "", "a\nb"])
def test_what_is_no_interpreter_is_refused_in_a_line(workspace: Path, tmp_path: Path, given: str) -> None:
    (workspace / "folder").mkdir()
    (workspace / "file.txt").write_text("")
    run = set_up(workspace, tmp_path, python=given)
    (line,) = run.logs["Set up archcheck"].splitlines()
    shown = given.replace("\n", "%0A")
    assert line.startswith(f"::error title=archcheck::the input `python` is `{shown}`, which is no command, ")
    assert (run.code, run.steps["setup"]) == (2, {})


def test_a_path_of_several_lines_sets_no_other_output(workspace: Path, tmp_path: Path) -> None:
    command(workspace / "a\nsnapshot=x" / "bin" / "python")
    run = set_up(workspace, tmp_path, python="./a\nsnapshot=x")
    assert (run.code, run.steps["setup"]) == (2, {})


def test_a_command_that_path_finds_in_the_repository_is_not_run(workspace: Path, tmp_path: Path) -> None:
    command(workspace / "python3.99")
    run = run_action(
        workspace, tmp_path, {"install": "", "python": "python3.99"}, only="Set up archcheck",
        PATH=f".{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    assert run.code == 2
    assert not (tmp_path / "calls").exists()


def test_an_older_python_is_refused_in_a_line(workspace: Path, tmp_path: Path) -> None:
    command(tmp_path / "tools" / "python", "exit 1")
    run = set_up(workspace, tmp_path)
    (line,) = run.logs["Set up archcheck"].splitlines()
    assert (run.code, line.partition(", ")[0]) == (
        2, "::error title=archcheck::archcheck needs Python 3.11 or newer",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("install", "expected"),
    [
        ("torch==2.9 archcheck-torch", ["torch==2.9", "archcheck-torch"]),
        ("torch==2.9\n  archcheck-torch\n", ["torch==2.9", "archcheck-torch"]),
        ("self", ["{}[training]"]),
        ("", None),
        (" \n", None),
    ],
)
def test_what_is_asked_for_is_installed(
    workspace: Path, tmp_path: Path, install: str, expected: list[str] | None
) -> None:
    run = set_up(workspace, tmp_path, install=install)
    said = calls(tmp_path)
    assert run.code == 0
    assert ("pip" in said) == (expected is not None)
    if expected is not None:
        start = said.index("--disable-pip-version-check") + 1
        installed = said[start : start + len(expected)]
        assert installed == [each.format(f"{run.folder}/../../..") for each in expected]
        assert said[start + len(expected)] == run.steps["setup"]["python"]
        assert (run.folder / "../../../pyproject.toml").is_file()


def test_the_interpreter_that_runs_the_tests_has_archcheck(workspace: Path, tmp_path: Path) -> None:
    run = set_up(workspace, tmp_path, python=sys.executable)
    assert (run.code, run.steps["setup"]) == (0, {"python": sys.executable})
    told = subprocess.run([sys.executable, "-c", "import archcheck"], cwd=workspace, check=False)
    assert told.returncode == 0
