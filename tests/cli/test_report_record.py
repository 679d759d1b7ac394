"""What `archcheck report` shows of training: the record that is there, read and compared, and no evaluation."""

from __future__ import annotations

import json

import pytest

from archcheck.cli import main
from archcheck.facts.record_seals import sealed

CONTRACT = """
[subjects.net]
model = "model.py:Net"
input = [1, 2]

[subjects.net.training]
evaluate = "trainer.py:never"
checkpoint = "checkpoint.safetensors"
record = "record.json"

[subjects.net.rules]
max-params = 6
min-accuracy = 0.9
"""
MODEL = "import torch.nn as nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n"
RECORD = sealed({"schema": 1, "model": {"parameters": 7}, "runs": [{"seed": 0, "epochs": [{"loss": 1.0}]}]})


@pytest.fixture
def reported(tmp_path, monkeypatch, capsys):
    """Report the subject in a folder where evaluating would fail; return its facts and the text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "trainer.py").write_text("raise RuntimeError('evaluated')\n")
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")

    def run(record=None):
        if record is not None:
            (tmp_path / "record.json").write_text(json.dumps(record))
        assert main(["report", "net", "--format", "json"]) == 0
        facts = json.loads(capsys.readouterr().out)["reports"][0]["facts"]
        assert main(["report", "net"]) == 0
        return facts, capsys.readouterr().out

    return run


def test_the_record_is_there_and_what_it_does_not_match_is_said(reported):
    facts, text = reported(RECORD)
    assert facts["training"]["record"] == RECORD
    assert "the record is of a model with 7 parameters, this one has 6" in facts["training"]["mismatches"]
    assert "record.json: the record is of a model with 7 parameters, this one has 6" in " ".join(text.split())


def test_the_checkpoint_is_left_alone(reported):
    facts, text = reported(RECORD)
    training = facts["training"]
    assert (training["correct"], training["total"], training["checkpoint_problem"]) == (None, None, None)
    assert training["checkpoint_file"] == "checkpoint.safetensors"
    assert "not judged here but by `archcheck check`: min-accuracy" in text
    assert "checkpoint" not in text


def test_without_a_record_that_is_said(reported):
    facts, text = reported()
    assert facts["training"]["record"] is None
    assert "record.json: there is none yet" in " ".join(text.split())
