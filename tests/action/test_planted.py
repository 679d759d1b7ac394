"""Things that a repository may hold for an interpreter, pip or git to find: no step runs them where it can steer later
steps, and none of them decides what is compared.
"""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.action.repository import commit, git, pull_request
from tests.action.test_action import CONTRACT, NETWORK
from tests.action.workflow import Run, run_action

SPY = """
    import os, sys
    if os.environ.get("GITHUB_ENV") or os.environ.get("GITHUB_PATH"):
        with open({spied!r}, "a") as file:
            print(__name__, sys.argv, file=file)
        with open(os.environ["GITHUB_ENV"], "a") as file:
            print("LD_PRELOAD=planted", file=file)
"""
MODULES = (
    "pip", "archcheck", "sitecustomize", "usercustomize", "json", "importlib", "typing", "re", "rich", "hashlib",
    "urllib", "setuptools", "hatchling",
)  # fmt: skip
"""Names that a folder may give to modules of its own, and that the steps import."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository that holds modules of these names, and the file in which they tell that a step ran them."""
    folder = tmp_path_factory.mktemp("planted")
    workspace, spied = folder / "workspace", folder / "spied"
    workspace.mkdir()
    git(workspace, "init", "--quiet")
    for name in MODULES:
        (workspace / f"{name}.py").write_text(dedent(SPY.format(spied=str(spied))))
    for name in ("setup.cfg", "pip.conf", ".pdbrc", "pyvenv.cfg", "pip.ini"):
        (workspace / name).write_text("[global]\nindex-url = nowhere\n")
    (workspace / "network.py").write_text(dedent(NETWORK))
    (workspace / "archcheck.toml").write_text(dedent(CONTRACT))
    commit(workspace, **{"archcheck.snapshot_json": "{}"})
    commit(workspace)
    return workspace, spied


def clean(run: Run, spied: Path) -> None:
    assert not spied.exists() or not spied.read_text(), spied.read_text()
    assert run.steering == ""


def test_no_step_imports_what_lies_in_the_repository(planted: tuple[Path, Path], tmp_path: Path) -> None:
    workspace, spied = planted
    inputs = {"python": sys.executable, "install": "", "subjects": "good", "sarif": "out.sarif", "comment": "true"}
    run = run_action(workspace, tmp_path, inputs, GITHUB_EVENT_NAME="push")
    assert (run.code, run.outputs["verdict"], list(run.logs)[-1]) == (0, "kept", "Gate")
    assert "snapshot" in run.steps["base"]
    clean(run, spied)


def test_pip_is_the_interpreters_own(planted: tuple[Path, Path], tmp_path: Path) -> None:
    """`pip` is asked for what is installed already, so that nothing is fetched."""
    workspace, spied = planted
    inputs = {"python": sys.executable, "install": "PyYAML"}
    for environment in ({}, {"PYTHONPATH": "."}, {"PYTHONPATH": str(workspace)}):
        run = run_action(
            workspace, tmp_path, inputs, only="Set up archcheck", PIP_NO_INDEX="1", **environment
        )  # fmt: skip
        assert (run.code, run.steps["setup"]) == (0, {"python": sys.executable})
        clean(run, spied)


@pytest.mark.parametrize("path", [".", "{}"])
def test_a_path_that_the_job_sets_for_the_subject_serves_the_check_alone(
    planted: tuple[Path, Path], tmp_path: Path, path: str
) -> None:
    workspace, spied = planted
    (tmp_path / "kept.json").write_text('{"schema": 1, "reports": []}')
    before = {
        "setup": {"python": sys.executable},
        "check": {"report": str(tmp_path / "kept.json"), "code": "0"},
        "base": {"snapshot": str(tmp_path / "kept.json")},
        "summarise": {"summary": str(tmp_path / "kept.json")},
    }
    for step in ("Annotate", "Summarise", "Comment"):
        run = run_action(
            workspace, tmp_path, {"comment": "true"}, only=step, before=before, PYTHONPATH=path.format(workspace)
        )
        clean(run, spied)


def test_what_pip_builds_is_not_told_of_the_files_that_steer(tmp_path: Path) -> None:
    tool = tmp_path / "python"
    tool.write_text('#!/bin/bash\ncase "$*" in *" pip "*) env > "$RUNNER_TEMP/seen" ;; esac\n')
    tool.chmod(0o755)
    run = run_action(tmp_path, tmp_path, {"python": str(tool), "install": "x"}, only="Set up archcheck")
    seen = (tmp_path / "seen").read_text()
    assert run.code == 0
    assert "RUNNER_TEMP=" in seen
    assert [line for line in seen.splitlines() if line.startswith("GITHUB_")] == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    pull_request(
        folder,
        base={"archcheck.snapshot_json": "of the base\n"},
        change={"archcheck.snapshot_json": "of the change\n"},
    )
    return folder


def base(workspace: Path, temporary: Path, **inputs: str) -> Run:
    sha = git(workspace, "rev-parse", "HEAD")
    return run_action(
        workspace, temporary, inputs, only="Read the base", GITHUB_EVENT_NAME="pull_request", GITHUB_SHA=sha,
        GITHUB_BASE_REF="main",
    )  # fmt: skip


def test_git_runs_nothing_that_files_of_the_repository_name(repository: Path, tmp_path: Path) -> None:
    """An earlier step (`npm install` with husky) may have pointed `core.hooksPath` into the repository."""
    spy = repository / "hooks" / "spy"
    spy.parent.mkdir()
    spy.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\ncat\n")
    spy.chmod(0o755)
    for name in ("reference-transaction", "post-checkout", "fsmonitor-watchman", "post-index-change"):
        (spy.parent / name).symlink_to(spy)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    shallow = tmp_path / "shallow"
    (shallow / ".gitattributes").write_text("*.json diff=spy filter=spy\n")
    hooks = str(spy.parent)
    for key in ("diff.spy.textconv", "diff.spy.command", "filter.spy.smudge", "core.fsmonitor", "diff.external"):
        git(shallow, "config", key, str(spy))
    git(shallow, "config", "core.hooksPath", hooks)
    run = base(shallow, tmp_path)
    assert Path(run.steps["base"]["snapshot"]).read_text() == "of the base\n"
    assert not (tmp_path / "ran").exists()


def test_a_bare_repository_within_the_repository_is_not_asked(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    pull_request(other, base={"archcheck.snapshot_json": "forged\n"}, change={"x_txt": ""})
    inner = repository / "models"
    git(tmp_path, "clone", "--quiet", "--bare", str(other), str(inner))
    git(inner, "config", "core.bare", "false")
    git(inner, "config", "core.worktree", str(inner))
    git(inner, "update-ref", "--no-deref", "HEAD", git(other, "rev-parse", "HEAD"))
    sha = git(other, "rev-parse", "HEAD")
    run = run_action(
        repository, tmp_path, {"working-directory": "models", "snapshot": "archcheck.snapshot.json"},
        only="Read the base", GITHUB_EVENT_NAME="pull_request", GITHUB_SHA=sha, GITHUB_BASE_REF="main",
    )  # fmt: skip
    (line,) = run.logs["Read the base"].splitlines()
    assert (run.code, run.steps["base"]) == (0, {})
    assert line.startswith("::notice title=archcheck::no comparison with the base: ")


@pytest.mark.parametrize("name", ["a\n::error::x", "a\r::error::x", "a%0A::error::x", "a\ncommit=x"])
def test_a_name_of_several_lines_is_one_command_and_no_output(repository: Path, tmp_path: Path, name: str) -> None:
    run = base(repository, tmp_path, snapshot=name)
    (line,) = run.logs["Read the base"].splitlines()
    assert line.startswith("::notice title=archcheck::no comparison with the base: a%")
    assert (run.code, run.steps["base"]) == (0, {})


def test_an_event_that_names_no_commit_is_answered_by_the_parent(repository: Path, tmp_path: Path) -> None:
    for before in ("--help", "HEAD", "main\ncommit=x", "$(touch ran)"):
        run = run_action(repository, tmp_path, {"event.before": before}, only="Read the base", GITHUB_EVENT_NAME="push")
        assert run.steps["base"]["commit"] == git(repository, "rev-parse", "HEAD^1")
