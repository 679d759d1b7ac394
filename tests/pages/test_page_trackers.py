"""The lines for trackers: what they log is what was measured, by stand-ins, and by the libraries where they are.

The libraries are in no extra: each takes a quarter of a minute to install, and nothing in archcheck imports one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from tests.pages.page_blocks import text_of, the_block
from tests.support.cli_samples import environment

FIGURES = {"params": 54_186, "macs": 102_752}
"""The first convolution has 80 parameters and 8 * 26 * 26 * 9 multiply-accumulates, and so on."""
VERDICTS = {"max-params": "kept", "requires": "kept"}


def code_of(library: str) -> str:
    return the_block("python", f"import {library}\n").text


def run(library: str, folder: Path, **changes: str) -> None:
    """Run the lines of a library in a folder, without a network."""
    surroundings = environment(PYTHONPATH=str(Path(__file__).parents[2]), **changes)
    done = subprocess.run(
        [sys.executable, "-c", code_of(library)],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def stand_in(monkeypatch: pytest.MonkeyPatch, library: str) -> MagicMock:
    """Run the lines with a library that only remembers what it was told."""
    module = MagicMock()
    monkeypatch.setitem(sys.modules, library, module)
    exec(compile(code_of(library), library, "exec"), {"__name__": library})
    return module


def test_mlflow_is_told_the_figures_the_verdicts_and_the_report(monkeypatch):
    told = stand_in(monkeypatch, "mlflow")
    told.log_metrics.assert_called_once_with(FIGURES)
    told.set_tags.assert_called_once_with(VERDICTS)
    ((text, name), _) = told.log_text.call_args
    assert name == "archcheck.json"
    assert json.loads(text)["reports"][0]["facts"]["params"]["total"] == FIGURES["params"]


def test_wandb_is_told_the_figures_the_verdicts_and_the_report(monkeypatch):
    told = stand_in(monkeypatch, "wandb")
    started = told.init.return_value.__enter__.return_value
    started.summary.update.assert_called_once_with(FIGURES)
    started.config.update.assert_called_once_with(VERDICTS)
    artifact = told.Artifact.return_value
    started.log_artifact.assert_called_once_with(artifact)
    ((text,), _) = artifact.new_file.return_value.__enter__.return_value.write.call_args
    assert json.loads(text)["reports"][0]["facts"]["cost"]["macs"] == FIGURES["macs"]


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow-skinny is not installed")
def test_mlflow_holds_the_run(tmp_path, monkeypatch):
    """In files of this machine, which take no server and no database."""
    changes = {"MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    run("mlflow", tmp_path, **changes)
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    from mlflow.tracking import MlflowClient

    assert "tags.`max-params` = 'kept'" in text_of("experiment-trackers")
    client = MlflowClient()
    (found,) = client.search_runs(["0"], "tags.`max-params` = 'kept'")
    assert found.data.metrics == FIGURES
    assert VERDICTS.items() <= found.data.tags.items()
    assert [each.path for each in client.list_artifacts(found.info.run_id)] == ["archcheck.json"]
    assert client.search_runs(["0"], "tags.`max-params` = 'broken'") == []


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_holds_the_run_offline(tmp_path):
    own = {name: str(tmp_path / name) for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
    run("wandb", tmp_path, WANDB_MODE="offline", WANDB_SILENT="true", **own)
    (record,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = record.read_bytes()
    for figure in FIGURES.values():
        assert str(figure).encode() in content
    for name in (*VERDICTS, "archcheck.json"):
        assert name.encode() in content
