"""`archcheck train` as a process."""

import json

import pytest

from tests.cli_samples import write

FILES = {
    "net_py": """
        from torch import nn

        class Net(nn.Sequential):
            def __init__(self):
                super().__init__(nn.Linear(3, 4))
    """,
    "school_py": """
        def run(model, *, seed, epochs=2):
            print("the trainer prints")
            for epoch in range(epochs):
                yield {"loss": 1 / (epoch + 1)}

        def test(model):
            return 1234, 2000
    """,
    "archcheck_toml": """
        [subjects.net]
        model = "net.py:Net"
        [subjects.net.training]
        train = "school.py:run"
        evaluate = "school.py:test"
        record = "record.json"
    """,
}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, **FILES)
    return tmp_path


def test_a_run_is_shown_and_recorded(archcheck, folder):
    run = archcheck("train", "net", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ("net: seed 0, 2 epochs, 1,234 of 2,000 correct on the test set\nrecorded in record.json\n")
    assert "archcheck: note: seed 0, epoch 2, loss 0.5" in run.stderr
    assert "the trainer prints" in run.stderr
    (kept,) = json.loads((folder / "record.json").read_text())["runs"]
    assert kept["test"] == {"correct": 1234, "total": 2000}


def test_a_trial_is_not_recorded(archcheck, folder):
    run = archcheck("train", "net", "--epochs", "1", "--seed", "3", "--seed", "5", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "net: seed 3, 1 epoch, 1,234 of 2,000 correct on the test set",
        "net: seed 5, 1 epoch, 1,234 of 2,000 correct on the test set",
        "a trial: nothing is recorded",
    ]
    assert not (folder / "record.json").exists()
