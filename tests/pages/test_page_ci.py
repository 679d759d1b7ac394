"""What the manual shows of archcheck in CI is real: the lines of a run, the hook, the action's inputs."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.action.workflow import ACTION, read
from tests.pages.page_blocks import text_of, the_block
from tests.support.cli_samples import environment, write

MODEL = """\
    \"\"\"A network that grew.\"\"\"

    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 4)

        def forward(self, x):
            return self.fc(x)
"""
CONTRACT = """
    [subjects.net]
    model = "model.py:Net"
    input = [1, 3]
    rules.max-params = 15
    rules.followed-by = { layer = "linear", by = "relu" }
"""


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    write(tmp_path, model_py=MODEL, archcheck_toml=CONTRACT)
    return tmp_path


def hook() -> dict[str, Any]:
    (repository,) = yaml.safe_load(the_block("yaml", "hooks:").text)["repos"]
    assert repository["repo"] == "local"
    (only,) = repository["hooks"]
    return dict(only)


def run(folder: Path, command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command as a shell finds it where archcheck is installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(command, cwd=folder, env=environment(PATH=path), capture_output=True, text=True, check=False)


def test_the_concise_lines_are_what_the_command_prints(grown: Path) -> None:
    ((command, output),) = the_block("text", "$ archcheck check --format concise\n").commands
    done = run(grown, shlex.split(command))
    assert (done.returncode, done.stdout) == (1, output)


def test_the_hook_has_what_a_local_hook_needs() -> None:
    assert {"id", "name", "entry", "language"} <= set(hook())
    assert (hook()["language"], hook()["pass_filenames"]) == ("system", False)


def test_the_hook_refuses_a_commit_that_breaks_the_contract(grown: Path) -> None:
    entry = shlex.split(hook()["entry"])
    assert run(grown, entry).returncode == 1
    kept = CONTRACT.replace("15", "16").replace("rules.followed-by", "# rules.followed-by")
    write(grown, archcheck_toml=kept)
    done = run(grown, entry)
    assert done.returncode == 0, done.stdout


def test_the_named_inputs_are_those_of_the_action() -> None:
    page = " ".join(text_of("pull-requests").split())
    assert "With `comment: true`" in page
    assert "with `sarif: archcheck.sarif`" in page
    assert {"comment", "sarif", "subjects"} <= set(read(ACTION)["inputs"])


def test_the_action_is_used_as_in_this_repository() -> None:
    (step,) = yaml.safe_load(the_block("yaml", "uses: ./.github/actions/archcheck").text)
    jobs = read(ACTION.parents[2] / "workflows" / "model_check.yml")["jobs"].values()
    used = [each for job in jobs for each in job["steps"] if each.get("uses") == step["uses"]]
    assert [step["with"].items() <= each["with"].items() for each in used] == [True]


def test_the_schema_that_is_named_is_one() -> None:
    file = Path(__file__).parents[2] / "archcheck" / "render" / "report.schema.json"
    assert f"`{file.relative_to(Path(__file__).parents[2])}`" in text_of("formats")
    assert json.loads(file.read_text())["properties"]["schema"] == {"const": 1}
