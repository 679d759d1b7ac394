"""`archcheck train` and the rules that read what it wrote: on a network small enough to train in the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from archcheck.contract import load
from archcheck.facts.record_seals import digest_of, sealed
from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.foundation.statistics.sequential_decisions import Answer
from archcheck.judging.engine import check_contract
from archcheck.judging.until_decided import train_until_decided
from archcheck.rules.findings import Verdict
from archcheck.workers.training import train
from archcheck.workers.worker_process import Worker

MODEL = """
import torch.nn as nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
"""
TRAINER = """
import torch
import torch.nn.functional as F

def data(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 2, generator=generator)
    return x, (x[:, 0] > x[:, 1]).long()

def run(model, *, seed, epochs=3):
    x, y = data(1000 + seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(epochs):
        for _ in range(20):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimiser.step()
        yield {"loss": loss.detach(), "about": {"recipe": {"name": "sgd"}, "data": {"name": "halves"}}}

def evaluate(model):
    x, y = data(1)
    with torch.no_grad():
        return int((model(x).argmax(1) == y).sum()), len(y)

def diverges(model, *, seed, epochs=3):
    yield {"loss": 1.0}
    yield {"loss": float("nan")}

def raises(model, *, seed, epochs=3):
    yield {"loss": 1.0}
    raise RuntimeError("out of luck")

def silent(model, *, seed, epochs=3):
    return iter(())

def boasts(model, *, seed, epochs=3):
    ours = {"schema": 7, "model": "Net", "runs": 1, "checkpoint": "best.pt", "stopping": "early", "digest": "?"}
    for _ in range(epochs):
        yield {"about": {**ours, "note": "by hand"}}

def numbers(model, *, seed, epochs=3):
    yield 1.0
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

[subjects.halves.rules]
min-accuracy = { limit = 0.9, within-epochs = 3, seeds = 2 }
record-matches-model = true
"""


def make(folder, trainer="run"):
    (folder / "model.py").write_text(MODEL)
    (folder / "trainer.py").write_text(TRAINER)
    (folder / "archcheck.toml").write_text(CONTRACT.replace("trainer.py:run", f"trainer.py:{trainer}"))
    return load(folder / "archcheck.toml")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    contract = make(folder)
    epochs = []
    train(contract, contract.subject("halves"), seeds=(0, 1), on_epoch=epochs.append)
    assert [(epoch["seed"], epoch["epoch"]) for epoch in epochs] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    return folder


@pytest.fixture
def project(trained, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    return folder


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


def outcomes(folder, worker):
    (report,) = check_contract(load(folder / "archcheck.toml"), worker=worker)
    return {outcome.rule: outcome for outcome in report.outcomes}


def edit(folder, change):
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(sealed(record)))  # as a forger would


def test_a_record_and_a_checkpoint_come_out_and_keep_the_contract(project, worker):
    record = json.loads((project / "record.json").read_text())
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert [len(run["epochs"]) for run in record["runs"]] == [3, 3]
    assert record["recipe"] == {"name": "sgd"}
    assert record["model"]["parameters"] == 6
    assert record["checkpoint"]["seed"] == 0
    assert record["digest"] == digest_of(record)
    assert not list(project.glob("*.partial"))
    judged = outcomes(project, worker)
    assert [outcome.verdict for outcome in judged.values()] == [Verdict.KEPT, Verdict.KEPT]


def raise_limit(folder):
    text = (folder / "archcheck.toml").read_text().replace("limit = 0.9,", "limit = 0.9999,")
    (folder / "archcheck.toml").write_text(text)


def retouch_model(folder):
    (folder / "model.py").write_text(MODEL + "\n# another model\n")


def widen_model(folder):
    (folder / "model.py").write_text(MODEL.replace("(2, 2)", "(2, 3)"))


NO_EVIDENCE = {
    "no record": (lambda folder: (folder / "record.json").unlink(), "there is no record `record.json`"),
    "a damaged record": (lambda folder: (folder / "record.json").write_text("{"), "the record cannot be read"),
    "another document": (lambda folder: (folder / "record.json").write_text("{}"), "is not one of schema 1"),
    "no run": (lambda folder: edit(folder, lambda record: record["runs"].clear()), "the record holds no run"),
}
ANOTHER_MODEL = {
    "another source": (retouch_model, "`model.py` is not the source that was trained"),
    "another network": (widen_model, "the record is of a model with 6 parameters, this one has 9"),
}
FAULTS_OF_ACCURACY = {
    "too few seeds": (
        lambda folder: edit(folder, lambda record: record["runs"].pop()),
        "holds 1 seed, 2 are promised",
    ),
    "a seed twice": (
        lambda folder: edit(folder, lambda record: record["runs"].__setitem__(1, record["runs"][0])),
        "holds a seed twice",
    ),
    "too many epochs": (
        lambda folder: edit(folder, lambda record: record["runs"][0]["epochs"].append({})),
        "seed 0 trained 4 epochs, 3 are allowed",
    ),
    "no test result": (
        lambda folder: edit(folder, lambda record: record["runs"][0].pop("test")),
        "no result on the test",
    ),
    "an edited result": (
        lambda folder: edit(folder, lambda record: record["runs"][0]["test"].update(correct=200, total=200)),
        "the record says 200 of 200",
    ),
    "a missed limit": (raise_limit, "limit 99.99%"),
    "no checkpoint": (lambda folder: (folder / "checkpoint.safetensors").unlink(), "there is no checkpoint"),
    "another checkpoint": (
        lambda folder: (folder / "checkpoint.safetensors").write_bytes(b"nothing"),
        "is not the checkpoint of the record",
    ),
}


@pytest.mark.parametrize("fault", NO_EVIDENCE)
def test_without_evidence_nothing_can_be_judged(fault, project, worker):
    plant, says = NO_EVIDENCE[fault]
    plant(project)
    for outcome in outcomes(project, worker).values():
        assert outcome.verdict is Verdict.ERROR
        assert says in outcome.summary
        assert "archcheck train halves" in outcome.findings[0].fix


@pytest.mark.parametrize("fault", ANOTHER_MODEL)
def test_the_record_of_another_model_proves_nothing(fault, project, worker):
    plant, says = ANOTHER_MODEL[fault]
    plant(project)
    judged = outcomes(project, worker)
    assert judged["min-accuracy"].verdict is Verdict.ERROR
    assert judged["record-matches-model"].verdict is Verdict.BROKEN
    assert all(says in outcome.summary for outcome in judged.values())


def test_a_record_of_another_model_ends_a_check_with_2(project):
    retouch_model(project)
    command = [sys.executable, "-m", "archcheck", "check"]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("fault", FAULTS_OF_ACCURACY)
def test_a_record_that_does_not_prove_the_accuracy_breaks_min_accuracy(fault, project, worker):
    plant, says = FAULTS_OF_ACCURACY[fault]
    plant(project)
    judged = outcomes(project, worker)["min-accuracy"]
    assert judged.verdict is Verdict.BROKEN
    assert says in judged.summary


def test_a_factory_in_another_file_is_told_by_what_it_executes(tmp_path, worker):
    make(tmp_path)
    (tmp_path / "parts.py").write_text("import torch.nn as nn\n\ndef layer():\n    return nn.ReLU()\n")
    body = "    return nn.Sequential(nn.Linear(2, 2), layer())\n"
    (tmp_path / "model.py").write_text(f"import torch.nn as nn\nfrom parts import layer\n\ndef Net():\n{body}")
    contract = load(tmp_path / "archcheck.toml")
    train(contract, contract.subject("halves"), seeds=(0, 1))
    assert outcomes(tmp_path, worker)["record-matches-model"].verdict is Verdict.KEPT
    worker.close()
    (tmp_path / "parts.py").write_text("import torch.nn as nn\n\ndef layer():\n    return nn.Sigmoid()\n")
    judged = outcomes(tmp_path, worker)["record-matches-model"]
    assert judged.verdict is Verdict.BROKEN
    assert "what the model executes differs" in judged.summary


def test_the_next_run_takes_the_next_seed_and_a_known_one_is_refused(project):
    contract = load(project / "archcheck.toml")
    record, target = train(contract, contract.subject("halves"))
    assert [run["seed"] for run in record["runs"]] == [0, 1, 2]
    assert target == project / "record.json"
    with pytest.raises(ArchcheckError, match="holds seed 1 already; choose another"):
        train(contract, contract.subject("halves"), seeds=(1,))


def test_a_seed_that_is_given_twice_is_refused_before_it_trains(project):
    contract = load(project / "archcheck.toml")
    before = (project / "record.json").read_bytes()
    with pytest.raises(ArchcheckError, match=r"^seed 7 is given 2 times; give each once$"):
        train(contract, contract.subject("halves"), seeds=(7, 8, 7))
    assert (project / "record.json").read_bytes() == before


def test_a_shortened_run_is_a_trial_and_recorded_nowhere(project):
    before = (project / "record.json").read_bytes()
    contract = load(project / "archcheck.toml")
    record, target = train(contract, contract.subject("halves"), epochs=1)
    assert target is None
    assert len(record["runs"][0]["epochs"]) == 1
    assert (project / "record.json").read_bytes() == before


def test_a_record_of_another_model_takes_no_run(project):
    retouch_model(project)
    contract = load(project / "archcheck.toml")
    before = (project / "record.json").read_bytes()
    with pytest.raises(ArchcheckError, match="is of another model"):
        train(contract, contract.subject("halves"))
    assert (project / "record.json").read_bytes() == before


def test_a_checkpoint_without_record_is_not_overwritten(project):
    (project / "record.json").unlink()
    contract = load(project / "archcheck.toml")
    with pytest.raises(ArchcheckError, match="move it away first"):
        train(contract, contract.subject("halves"))


def test_a_trainer_does_not_speak_for_archcheck(tmp_path):
    contract = make(tmp_path, "boasts")
    train(contract, contract.subject("halves"))
    record, _ = train(contract, contract.subject("halves"))  # which reads what the first run wrote
    assert (record["schema"], len(record["runs"]), record["note"]) == (1, 2, "by hand")
    assert record["checkpoint"]["file"] == "checkpoint.safetensors"
    assert "stopping" not in record


@pytest.mark.parametrize(
    ("trainer", "says"),
    [
        ("diverges", "`loss` is nan in epoch 2: the training diverged"),
        ("raises", "failed after 1 epoch: RuntimeError: out of luck"),
        ("silent", "yielded nothing"),
        ("numbers", "yielded a float; it must yield one mapping an epoch"),
    ],
)
def test_failing_trainers_are_reported(trainer, says, tmp_path):
    contract = make(tmp_path, trainer)
    with pytest.raises(SubjectError, match=says):
        train(contract, contract.subject("halves"))
    assert not (tmp_path / "record.json").exists()


def test_a_record_says_that_seeds_were_added_until_it_was_decided_and_is_judged_so(tmp_path, worker):
    contract = make(tmp_path)
    answer, target = train_until_decided(contract, contract.subject("halves"))
    assert answer is Answer.KEPT
    runs = json.loads(target.read_text())["runs"]
    assert len(runs) >= 4
    judged = outcomes(tmp_path, worker)
    assert [outcome.verdict for outcome in judged.values()] == [Verdict.KEPT, Verdict.KEPT]
    assert "at any number of seeds" in judged["min-accuracy"].notes[1]


def test_train_through_the_command_line(tmp_path):
    make(tmp_path)
    command = [sys.executable, "-m", "archcheck", "train", "halves", "--seed", "0"]
    ran = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "record.json" in ran.stdout
    assert "loss" in ran.stderr
    assert json.loads((tmp_path / "record.json").read_text())["runs"][0]["test"]["total"] == 200


def test_the_size_of_another_model_is_written_as_everywhere(project, worker):
    edit(project, lambda record: record["model"].update(parameters=13086))
    assert (
        "of a model with 13,086 parameters, this one has 6" in outcomes(project, worker)["record-matches-model"].summary
    )
