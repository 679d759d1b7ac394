"""The action as another repository uses it: from a folder of the runner, outside of the workspace and without git,
into an environment that has no archcheck yet.
"""

import json
import os
import shutil
import site
import subprocess
import venv
from pathlib import Path
from textwrap import dedent

import pytest

from tests.action.repository import commit, git
from tests.action.test_action import CONTRACT, NETWORK
from tests.action.workflow import ACTION, ROOT, Run, run_action

OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_CONFIG_FILE": os.devnull}
"""For pip: take what is installed. (`PIP_NO_BUILD_ISOLATION=0` is how pip wants to be told of no isolation.)"""


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this repository as a runner unpacks them for `uses: OWNER/REPO/...@REF`."""
    folder = tmp_path_factory.mktemp("_actions") / "OWNER" / "REPO" / "REF"
    for name in ("archcheck", ".github"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with everything that archcheck depends on, and a folder that is imported from last."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(downloaded: Path, environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("elsewhere")
    workspace = folder / "workspace"
    workspace.mkdir()
    git(workspace, "init", "--quiet")
    commit(workspace, network_py=dedent(NETWORK), archcheck_toml=dedent(CONTRACT))
    here = downloaded / ACTION.parent.relative_to(ROOT)
    inputs = {"python": str(environment), "subjects": "good"}
    return run_action(workspace, folder, inputs, folder=here, **OFFLINE)


def test_the_whole_action_runs_from_elsewhere(run: Run) -> None:
    assert (run.code, run.outputs.get("verdict"), list(run.logs)[-1]) == (0, "kept", "Gate"), run.logs
    assert run.summary.startswith("### archcheck: kept\n")
    assert run.steering == ""


def test_it_installs_the_archcheck_that_it_came_with(run: Run, downloaded: Path, environment: Path) -> None:
    assert run.code == 0
    code = """
import archcheck, importlib.metadata
print(archcheck.__file__)
print(importlib.metadata.distribution("archcheck-torch").read_text("direct_url.json"))
"""
    said = subprocess.run(
        [environment / "bin" / "python", "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert Path(said[0]).is_relative_to(environment)
    assert json.loads(said[1])["url"] == downloaded.as_uri()


def test_nothing_is_written_where_the_action_lies(run: Run, downloaded: Path) -> None:
    assert run.code == 0
    assert {each.name for each in downloaded.iterdir()} == {
        ".github", ".gitignore", "LICENSE", "README.md", "archcheck", "pyproject.toml",
    }  # fmt: skip
