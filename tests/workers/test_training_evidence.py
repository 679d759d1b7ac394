"""A record that was edited, of another recipe or data, or of a chosen checkpoint."""

from __future__ import annotations

import json
import shutil

import pytest

from archcheck.contract import load
from archcheck.facts.record_seals import sealed
from archcheck.foundation.errors import ArchcheckError
from archcheck.judging.engine import check_contract
from archcheck.rules.findings import Verdict
from archcheck.workers.training import train
from archcheck.workers.worker_process import Worker

MODEL = "from torch import nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n"
TRAINER = """
import torch
import torch.nn.functional as F

SETTINGS = {"rate": 0.5, "schedule": {"kind": "flat"}}
DATA = {"name": "halves", "files": {"a": "00"}}

def describe():
    return {"recipe": {"settings": SETTINGS, "sha256": str(hash(str(SETTINGS)))}, "data": DATA}

def samples(seed):
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > x[:, 1]).long()

def run(model, *, seed, epochs=2):
    x, y = samples(seed + 7)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(epochs):
        for _ in range(40):
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
        yield {"about": {"recipe": {"settings": SETTINGS}, "data": DATA}}

def evaluate(model):
    x, y = samples(1)
    return (model(x).argmax(1) == y).sum(), len(y)
"""
CONTRACT = """
[subjects.halves]
model = "model.py:Net"
input = [1, 2]
[subjects.halves.training]
train = "trainer.py:run"
evaluate = "trainer.py:evaluate"
describe = "trainer.py:described"
checkpoint = "checkpoint.safetensors"
record = "record.json"
[subjects.halves.rules]
min-accuracy = { limit = 0.8, mode = "artifact" }
record-matches-model = true
"""
DESCRIBED = """
def described():
    return {"recipe": {"settings": SETTINGS}, "data": DATA}
"""


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "model.py").write_text(MODEL)
    (folder / "trainer.py").write_text(TRAINER + DESCRIBED)
    (folder / "archcheck.toml").write_text(CONTRACT)
    contract = load(folder / "archcheck.toml")
    train(contract, contract.subject("halves"))
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "project")


def judged(folder, worker):
    (report,) = check_contract(load(folder / "archcheck.toml"), worker=worker)
    assert report.error is None, report.error
    return {outcome.rule: outcome for outcome in report.outcomes}


def edit(folder, change, *, seal=True):
    record = json.loads((folder / "record.json").read_text())
    change(record)
    (folder / "record.json").write_text(json.dumps(sealed(record) if seal else record))


def replace_in(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def test_an_honest_record_is_kept(folder, worker):
    assert [outcome.verdict for outcome in judged(folder, worker).values()] == [Verdict.KEPT, Verdict.KEPT]


def test_the_layout_of_the_file_is_no_edit(folder, worker):
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(dict(reversed(record.items())), indent=4))
    assert judged(folder, worker)["record-matches-model"].verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda record: record["runs"][0]["test"].update(correct=100), "the record was edited after it was written"),
        (lambda record: record["runs"][0]["epochs"].pop(), "the record was edited after it was written"),
        (lambda record: record.update(note="a word"), "the record was edited after it was written"),
        (lambda record: record.update(digest=7), "the record was edited after it was written"),
        (lambda record: record.pop("digest"), "the record has no `digest`"),
    ],
)
def test_an_edited_record_proves_nothing_and_takes_no_run(change, says, folder, worker):
    edit(folder, change, seal=False)
    outcomes = judged(folder, worker)
    assert outcomes["record-matches-model"].verdict is Verdict.BROKEN
    assert outcomes["min-accuracy"].verdict is Verdict.ERROR
    assert all(says in outcome.summary for outcome in outcomes.values())
    before, contract = (folder / "record.json").read_bytes(), load(folder / "archcheck.toml")
    with pytest.raises(ArchcheckError, match=f"takes no run: {says}"):
        train(contract, contract.subject("halves"))
    assert (folder / "record.json").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"rate": 0.5,',
            '"rate": 0.1,',
            "the record is of another recipe: `recipe.settings.rate` is 0.5 there, 0.1 in",
        ),
        (
            '{"kind": "flat"}',
            '{"kind": "cosine"}',
            'another recipe: `recipe.settings.schedule.kind` is "flat" there, "cosine" in the code',
        ),
        ('"rate": 0.5, ', "", "`recipe.settings.rate` is 0.5 there, absent in the code"),
        ('"rate": 0.5,', '"rate": 0.5, "decay": None,', "`recipe.settings.decay` is absent there, null in the code"),
        ('"a": "00"', '"a": "01"', 'the record is of another data: `data.files.a` is "00" there, "01" in the code'),
    ],
)
def test_a_record_of_another_recipe_or_data_is_told_with_both_values(old, new, says, folder, worker):
    replace_in(folder, "trainer.py", old, new)
    outcomes = judged(folder, worker)
    assert outcomes["record-matches-model"].verdict is Verdict.BROKEN
    assert outcomes["min-accuracy"].verdict is Verdict.ERROR
    assert says in outcomes["record-matches-model"].summary


def test_a_differing_setting_is_named_before_a_digest(folder, worker):
    replace_in(folder, "trainer.py", '"settings": SETTINGS}, "data"', '"a_sha256": 1, "z": 2}, "data"')
    assert "`recipe.settings` is" in judged(folder, worker)["record-matches-model"].summary


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ("def described():\n    return 3\n", "`trainer.py:described` must give a mapping with `recipe` or `data`"),
        ("def described():\n    return {'data': open}\n", "`trainer.py:described` could not describe the training"),
        ("", "there is no `described`"),
    ],
)
def test_without_a_description_nothing_is_judged(described, says, folder, worker):
    (folder / "trainer.py").write_text(TRAINER + described)
    (report,) = check_contract(load(folder / "archcheck.toml"), worker=worker)
    assert says in report.error.message


def test_a_checkpoint_of_another_epoch_was_chosen(folder, worker):
    edit(folder, lambda record: record["checkpoint"].update(epoch=1))
    outcome = judged(folder, worker)["min-accuracy"]
    assert outcome.verdict is Verdict.BROKEN
    assert "`checkpoint.safetensors` is of epoch 1 of 2: it was chosen, where the last one counts" in outcome.summary


def test_a_checkpoint_that_does_not_bear_out_the_record_breaks_it(folder, worker):
    edit(folder, lambda record: record["runs"][0]["test"].update(correct=100))
    found = judged(folder, worker)["min-accuracy"]
    assert found.verdict is Verdict.BROKEN
    assert "the record says 100 of 100" in found.summary
