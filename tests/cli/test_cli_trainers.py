"""Trainers and evaluations that break their word, met by `archcheck train` as a process: a line, and exit code 2."""

from __future__ import annotations

import json

import pytest

from archcheck.facts.record_seals import digest_of
from tests.support.cli_samples import write

MODEL = """
    from torch import nn

    class Net(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
"""
TRAINER = """
import time

def run(model, *, seed, epochs):
    if seed == 0:
        yield {}
        yield {}
        return
    LOOP

def evaluate(model):
    return 3, 4
"""
CONTRACT = """
    [subjects.halves]
    model = "model.py:Net"
    input = [1, 2]
    [subjects.halves.training]
    train = "trainer.py:run"
    evaluate = "trainer.py:evaluate"
    checkpoint = "checkpoint.safetensors"
    record = "record.json"
    epochs = 2
"""
LOOPS = {
    "long": "for _ in range(9): yield {}",
    "short": "yield {}",
    "diverges": 'yield {"loss": 1.0}; yield {"loss": float("nan")}',
    "raises": 'yield {}; raise RuntimeError("out of luck")',
    "numbers": "yield 1.0",
    "nothing": "return iter(())",
    "strange": 'yield {"model": model}',
    "alien": 'yield {"about": {"recipe": model}}',
    "hangs": "yield {}; time.sleep(600)",
}
SAYS = {
    "long": "`trainer.py:run` went on after the 2 epochs it was asked for",
    "short": "`trainer.py:run` ended after 1 of the 2 epochs it was asked for",
    "diverges": "`loss` is nan in epoch 2: the training diverged",
    "raises": "`trainer.py:run` failed after 1 epoch: RuntimeError: out of luck",
    "numbers": "`trainer.py:run` yielded a float; it must yield one mapping an epoch",
    "nothing": "`trainer.py:run` yielded nothing; it must yield one mapping an epoch",
    "strange": "`model` in epoch 1 is not JSON: TypeError: Object of type Net is not JSON serializable",
    "alien": "`about` of `trainer.py:run` is not JSON: TypeError",
    "hangs": "was not done after 20 s; raise `--timeout` if it needs more",
}


def make(folder, loop):
    """Write a project whose trainer keeps its word for seed 0 and goes wrong for any other."""
    write(folder, model_py=MODEL, archcheck_toml=CONTRACT)
    (folder / "trainer.py").write_text(TRAINER.replace("LOOP", loop))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_trainer_that_goes_wrong_is_a_line_and_the_run_before_it_is_kept(loop, archcheck, tmp_path):
    make(tmp_path, LOOPS[loop].replace("return iter(())", "return"))
    run = archcheck("train", "halves", "--seed", "0", "--seed", "1", "--timeout", "20", cwd=tmp_path)
    assert run.returncode == 2, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert [line for line in run.stderr.splitlines() if not line.startswith("archcheck: note:")] == [
        line for line in run.stderr.splitlines() if SAYS[loop] in line
    ], run.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert [each["seed"] for each in record["runs"]] == [0]
    assert record["digest"] == digest_of(record)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise OSError('no such file')", "`trainer.py:evaluate` gave no (correct, total): OSError: no such file"),
        ("return 0.75", "gave no (correct, total): TypeError"),
        ("return 0.75, 1", "gave no (correct, total): ValueError: 0.75 is not a count"),
        ("return 5, 4", "gave 5 correct of 4, which no test set has"),
        ("return 0, 0", "gave 0 correct of 0, which no test set has"),
    ],
)
def test_an_evaluation_that_gives_no_counts_is_a_line(body, says, archcheck, tmp_path):
    make(tmp_path, "yield {}")
    (tmp_path / "trainer.py").write_text(TRAINER.replace("return 3, 4", body))
    run = archcheck("train", "halves", cwd=tmp_path)
    assert run.returncode == 2
    assert says in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "record.json").exists()


def test_numbers_of_tensors_and_arrays_are_recorded_as_numbers(archcheck, tmp_path):
    make(tmp_path, "yield {}")
    numbers = "{'a': torch.tensor(2), 'b': numpy.float64(0.5), 'c': [1, 2], 'about': {'model': 'mine'}}"
    (tmp_path / "trainer.py").write_text(TRAINER.replace("yield {}", f"import numpy, torch; yield {numbers}", 2))
    run = archcheck("train", "halves", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["runs"][0]["epochs"][0] == {"epoch": 1, "a": 2, "b": 0.5, "c": [1, 2]}
    assert record["model"]["class"] == "Net"


TIED = """
    from torch import nn

    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 2), nn.Linear(2, 2))
            self[1].weight = self[0].weight
"""


def test_tied_weights_are_saved_and_tried(archcheck, tmp_path):
    make(tmp_path, "yield {}")
    write(tmp_path, model_py=TIED, archcheck_toml=f"{CONTRACT}    [subjects.halves.rules]\n    min-accuracy = 0.7\n")
    assert archcheck("train", "halves", cwd=tmp_path).returncode == 0
    run = archcheck("check", cwd=tmp_path)
    assert "the checkpoint gives 3 of 4 on the test set" in run.stdout, run.stdout + run.stderr


HOOKS = """
import torch
from torch.nn.functional import cross_entropy

class Module:
    def training_step(self, model, batch):
        return cross_entropy(model(batch), torch.zeros(len(batch), dtype=torch.long))
    def on_train_epoch_end(self, loss):
        return {"loss": loss.detach()}

class Loop:
    def __init__(self, hooks, epochs):
        self.hooks, self.epochs = hooks, epochs
    def fit(self, model, batches):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(self.epochs):
            for batch in batches:
                optimiser.zero_grad()
                loss = self.hooks.training_step(model, batch)
                loss.backward()
                optimiser.step()
            yield self.hooks.on_train_epoch_end(loss)

def run(model, *, seed, epochs):
    return Loop(Module(), epochs).fit(model, torch.randn(4, 5, 2))

def evaluate(model):
    return torch.tensor(3.0), 4
"""


def test_a_loop_of_hooks_is_a_trainer(archcheck, tmp_path):
    make(tmp_path, "")
    (tmp_path / "trainer.py").write_text(HOOKS)
    run = archcheck("train", "halves", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    (kept,) = json.loads((tmp_path / "record.json").read_text())["runs"]
    assert kept["test"] == {"correct": 3, "total": 4}
    assert kept["epochs"][1]["loss"] < kept["epochs"][0]["loss"]
    assert "archcheck: note: seed 0, epoch 2, loss " in run.stderr
