"""A missing package is reported in one line with the command to install it, as after `pip install --no-deps`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_samples import environment, write

MODEL = """
    from torch import nn


    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Conv2d(1, 2, 3), nn.ReLU())
"""
CONTRACT = """
    [subjects.net]
    model = "model.py:Net"
    input = [1, 1, 8, 8]
    rules.max-params = 1
    rules.accepts = { batch = [1, 60], height = [4, 90], width = [4, 90] }
"""
HIDES = """
    import os
    import sys

    sys.modules.update(dict.fromkeys(os.environ["HIDDEN"].split()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hides").mkdir()
    write(tmp_path, model_py=MODEL, archcheck_toml=CONTRACT)
    write(tmp_path / "hides", sitecustomize_py=HIDES)
    return tmp_path


def run(folder: Path, hidden: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module where a package cannot be found."""
    env = environment(HIDDEN=hidden, PYTHONPATH=str(folder / "hides"))
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def said(package: str) -> str:
    return f"{package} not installed for `{sys.executable}`; run `{sys.executable} -m pip install {package}`"


@pytest.mark.parametrize("package", ["torch", "rich"])
@pytest.mark.parametrize("words", [("report", "model.py"), ("check",), ("snapshot",), ("init", "model.py")])
def test_measuring_is_refused_in_a_line(folder: Path, package: str, words: tuple[str, ...]) -> None:
    done = run(folder, package, "archcheck", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"archcheck: error: {said(package)}\n"


def test_a_rule_that_needs_a_package_names_it(folder: Path) -> None:
    done = run(folder, "hypothesis", "archcheck", "check", "--no-cache")
    assert done.returncode == 2
    assert said("hypothesis") in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr


def test_showing_a_saved_report_needs_what_draws_it(folder: Path) -> None:
    assert (
        run(folder, "", "archcheck", "report", "model.py", "--format", "json", "--output", "saved.json").returncode == 0
    )
    done = run(folder, "rich", "archcheck", "report", "saved.json")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"archcheck: error: {said('rich')}\n")
    assert run(folder, "rich torch", "archcheck", "report", "saved.json", "--format", "markdown").returncode == 0


def test_pytest_refuses_it_as_a_usage_error(folder: Path) -> None:
    done = run(folder, "rich", "pytest", "--archcheck", "-p", "no:cacheprovider")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said("rich") in done.stderr
