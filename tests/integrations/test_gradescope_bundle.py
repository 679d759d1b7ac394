"""The bundle of an autograder: its scripts are run by bash with another root, as Gradescope runs them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from archcheck.cli import main
from archcheck.contract.subject_patterns import home_of
from tests.support.cli_samples import environment

CONTRACT = """
[subjects."home work"]
model = "students/*/net.py"
input = [1, 8]
[subjects."home work".rules]
max-params = { limit = 20, points = 2, title = "Small" }
"""
NET = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(8, 2)\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, archcheck: Path) -> subprocess.CompletedProcess[str]:
    surroundings = environment(AUTOGRADER_ROOT=str(folder), ARCHCHECK=str(archcheck))
    return subprocess.run(
        ["bash", folder / "source" / "run_autograder"], env=surroundings, capture_output=True, text=True, check=False
    )


def test_a_submission_is_graded_and_can_replace_no_file_of_the_teacher(folder: Path) -> None:
    assert main(["init", "--gradescope", "--output", "source"]) == 0
    for script in ("setup.sh", "run_autograder"):
        assert os.access(folder / "source" / script, os.X_OK)
        subprocess.run(["bash", "-n", folder / "source" / script], check=True)
        assert "@" not in (folder / "source" / script).read_text().replace("[@]", "")
    submission = folder / "submission"
    submission.mkdir()
    (submission / "net.py").write_text(NET)
    (submission / "archcheck.toml").write_text(CONTRACT.replace("points = 2", "points = 100"))
    (submission / "etc").symlink_to("/etc")
    archcheck = Path(sys.executable).with_name("archcheck")
    done = run(folder, archcheck)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "results" / "results.json").read_text())
    assert (result["score"], result["tests"][0]["max_score"]) == (2, 2)
    assert list((folder / "results").iterdir()) == [folder / "results" / "results.json"]

    failing = run(folder, Path("/bin/false"))
    assert failing.returncode != 0
    assert not list((folder / "results").iterdir()), "no zero of a grader that failed"


def test_a_zip_file_has_scripts_that_may_be_run(folder: Path) -> None:
    assert main(["init", "--gradescope"]) == 0
    with zipfile.ZipFile("autograder.zip") as archive:
        modes = {each.filename: stat.S_IMODE(each.external_attr >> 16) for each in archive.infolist()}
        assert archive.read("archcheck.toml").decode() == CONTRACT
    assert modes == {"setup.sh": 0o755, "run_autograder": 0o755, "archcheck.toml": 0o644}


@pytest.mark.parametrize(
    ("model", "home"),
    [
        ("model.py:Net", "."), ("pkg.mod:Net", "."), ("hw/model.py", "."), ("*.py", "."), ("students/*.py", "students"),
        ("students/*/model.py:Net", "students/me"), ("s/{who}/src/model.py", "s/me"), ("a/*/b/*/m.py", "a/me/b/me"),
        ("**/model.py", "me"), ("s/x-*/m.py", "s/x-me"),
    ],
)  # fmt: skip
def test_where_a_submission_lies(model: str, home: str) -> None:
    assert home_of(model, "me") == home


@pytest.mark.parametrize("model", ["/abs/*/model.py", "../*/model.py", "s/[ab]/model.py"])
def test_where_no_submission_can_lie(model: str) -> None:
    with pytest.raises(ValueError, match=r"folder"):
        home_of(model, "me")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "archcheck.toml"], "exists and is left alone"),
        (["--output", "."], '"." is a folder that exists; name a file in it, or another name'),
        (["--preset", "mnist-course"], "--preset is not for"),
        (["--config", "two.toml"], 'has "one" and "two"; name one'),
        (["nobody"], "is not a subject"),
        (["--output", "/dev/stdout"], "a folder or a zip file"),
        (["--config", "two.toml", "two"], "leaves the folder of the contract"),
    ],
)
def test_a_bundle_that_cannot_be_made_is_one_line(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("two.toml").write_text('[subjects.one]\nmodel = "a.py"\n[subjects.two]\nmodel = "../b.py"\n')
    before = sorted(folder.iterdir())
    assert main(["init", "--gradescope", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before
