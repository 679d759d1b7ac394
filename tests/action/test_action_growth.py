"""The whole action on a pull request that lets a network grow, against what its base has committed."""

import json
import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.action.repository import git, pull_request
from tests.action.workflow import Run, run_action

NETWORK = """
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, {width})

        def forward(self, x):
            return self.fc(x)
"""
CONTRACT = """
    [subjects.net]
    model = "network.py:Net"
    input = [1, 4]
    rules.max-params = 12
"""
# A linear layer of 4 to 2 has 4 * 2 + 2 parameters and 4 * 2 multiply-accumulates.
TOTALS = {
    "params": 10, "trainable": 10, "frozen": 0, "buffers": 0, "hidden": 0, "bytes": 40, "macs": 8,
    "fvcore_flops": 8, "activations": 2, "peak_activation_bytes": 24, "inputs": ["1x4"], "outputs": ["1x2"],
    "receptive_field": None, "uncounted": [],
}  # fmt: skip
SNAPSHOT = json.dumps({"schema": 1, "subjects": {"net": {"totals": TOTALS, "layers": {}}}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The merge of a change from two outputs to three into a base whose own code cannot even be read."""
    folder = tmp_path_factory.mktemp("growing") / "repository"
    change = {"network_py": dedent(NETWORK.format(width=3)), "archcheck_toml": dedent(CONTRACT)}
    pull_request(
        folder, base={"archcheck.snapshot_json": SNAPSHOT, "setup_py": "raise SystemExit('run')"}, change=change
    )
    return folder


def judge(folder: Path, temporary: Path, **inputs: str) -> Run:
    return run_action(
        folder,
        temporary,
        {"python": sys.executable, "install": "", **inputs},
        GITHUB_EVENT_NAME="pull_request",
        GITHUB_BASE_REF="main",
        GITHUB_SHA=git(folder, "rev-parse", "HEAD"),
    )


def test_the_summary_has_base_now_change_and_limit(folder: Path, tmp_path: Path) -> None:
    run = judge(folder, tmp_path)
    assert (run.code, run.outputs["verdict"]) == (1, "broken")
    assert "| max-params | **broken** | 15 parameters | 12 |" in run.summary
    lines = run.summary.splitlines()
    assert "| measure | before | after | change | limit |" in lines
    assert "| params | 10 | 15 | +5, +50.0 % | 12 |" in lines
    assert "| macs | 8 | 12 | +4, +50.0 % |  |" in lines
    assert re.search(r"(?m)^::error file=network.py,line=5,", run.logs["Annotate"])


def test_a_base_that_is_no_snapshot_costs_the_comparison_alone(folder: Path, tmp_path: Path) -> None:
    run = judge(folder, tmp_path, snapshot="setup.py")
    assert run.code == 1
    assert "| max-params | **broken** | 15 parameters | 12 |" in run.summary
    assert "| before |" not in run.summary
    assert "::notice title=archcheck::there is no comparison with the base" in run.logs["Summarise"]
