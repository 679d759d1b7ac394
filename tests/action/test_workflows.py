import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.action.workflow import ACTION, ROOT, WORKFLOWS, read

FILES = [ACTION, *sorted(WORKFLOWS.glob("*.yml"))]


def steps(file: Path) -> list[dict[str, Any]]:
    document = read(file)
    if file == ACTION:
        return list(document["runs"]["steps"])
    return [step for job in document["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scripts_take_values_from_the_environment_only(file: Path) -> None:
    assert not [step["run"] for step in steps(file) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_of_others_are_pinned_to_a_major_version(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert not [name for name in used if not re.fullmatch(r"\./\S+|[\w-]+/[\w-]+@v\d+", name)]


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_workflows_may_read_and_nothing_else(file: Path) -> None:
    document = read(file)
    assert document["permissions"] == {"contents": "read"}
    assert not [job for job in document["jobs"].values() if "permissions" in job]


def test_the_actions_and_scripts_of_this_repository_exist() -> None:
    used = [step.get("uses", "") for file in FILES for step in steps(file)]
    for name in filter(lambda name: name.startswith("./"), used):
        assert (ROOT / name / "action.yml").is_file()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_input_is_one_that_the_action_has() -> None:
    inputs = set(read(ACTION)["inputs"])
    for step in steps(WORKFLOWS / "model_check.yml"):
        if step.get("uses", "").endswith("actions/archcheck"):
            assert set(step["with"]) <= inputs
            break
    else:
        pytest.fail("the action is not used")


HELD = [
    file.relative_to(ROOT).as_posix()
    for file in (ROOT / "archcheck").rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
]
"""What a whole wheel holds of archcheck."""


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([*HELD, "archcheck_torch-1.dist-info/METADATA"], 0),
        ([*HELD, "reference_models/x.py"], 1),
        ([name for name in HELD if name != "archcheck/py.typed"], 1),
        ([name for name in HELD if name != "archcheck/render/html/page.html.jinja"], 1),
    ],
)
def test_the_wheel_is_looked_into(tmp_path: Path, names: list[str], code: int) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, "")
    look = ROOT / ".ci" / "wheel.py"
    assert subprocess.run([sys.executable, look, path], check=False).returncode == code
