"""Whatever the file of a training record holds: it is judged as what it says, or refused in one line that says why.

It is read by `archcheck train`, which adds runs to it, and by whoever measures the model, for the rules that judge it.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archcheck.contract import Stated
from archcheck.facts.facts import Facts
from archcheck.facts.record_seals import misshapen, sealed
from archcheck.foundation.errors import ArchcheckError, NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import judge, measure
from archcheck.measure.evidence.record import identity, training_facts
from archcheck.render import render
from archcheck.rules.accuracy import MinAccuracy
from archcheck.rules.base import Rule
from archcheck.rules.findings import Report, Verdict, reports_from_json
from archcheck.rules.queries.figures import FIGURES, figure_text
from archcheck.rules.training import RecordMatchesModel
from archcheck.workers.record_document import free_seed, read_record
from archcheck.workers.record_file import recording
from tests.support.fuzzing import examples
from tests.support.json_mutations import DAMAGE, changed, is_one_line, nested, written

SPEC = {"record": "record.json", "evaluate": "model.py:evaluate", "checkpoint": "checkpoint.safetensors"}
MODEL = "import torch.nn as nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 2)\n"
RULES: tuple[Rule, ...] = (
    MinAccuracy(limit=0.9, within_epochs=3, seeds=2),
    MinAccuracy(limit=0.9, mode="epochs-to-target", within_epochs=3),
    MinAccuracy(limit=0.9, mode="artifact"),
    RecordMatchesModel(),
)
STATED = [Stated(rule=rule, instance=str(at), where=Where(file="c", line=1)) for at, rule in enumerate(RULES)]


def run(seed: int) -> dict[str, Any]:
    epochs = [{"epoch": at, "loss": 0.5, "validation_correct": 90 + at, "validation_total": 100} for at in (1, 2)]
    return {"seed": seed, "epochs": epochs, "selected": "last", "test": {"correct": 95, "total": 100}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    (folder / "model.py").write_text(MODEL)
    (folder / "checkpoint.safetensors").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    measured = measure(nn.Linear(2, 2), example=torch.zeros(1, 2))
    return replace(measured, subject=replace(measured.subject, target="model.py:Net"))


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    described = {**identity(nn.Linear(2, 2), "model.py:Net", str(folder)), "sha256": None}
    document = {
        "schema": 1,
        "model": described,
        "recipe": {"name": "sgd", "settings": {"rate": 0.1}},
        "data": {"name": "halves"},
        "environment": {"torch": "2"},
        "runs": [run(0), run(1)],
        "checkpoint": {"file": "checkpoint.safetensors", "sha256": "0", "seed": 0, "epoch": 2},
        "stopping": {"procedure": "until-decided"},
    }
    return sealed(document)


def told(folder: Path, facts: Facts, content: bytes) -> Facts:
    """Return the facts with what is read of a record with this content, as a measuring tells them."""
    (folder / "record.json").write_bytes(content)
    training = training_facts(nn.Linear(2, 2), SPEC, facts, str(folder))
    # As if the checkpoint gave what the record says, so that the judging goes on.
    return replace(facts, training=replace(training, checkpoint_problem=None, correct=95, total=100))


def judged_in_order(facts: Facts) -> None:
    """Run everything that reads the record."""
    assert facts.training is not None
    outcomes = judge(facts, STATED)
    for outcome in outcomes:
        assert "the rule itself failed" not in outcome.summary
        if facts.training.record is None:
            assert outcome.verdict is Verdict.ERROR
    for path in (*FIGURES, "training.record.recipe.settings.rate"):
        with contextlib.suppress(NotMeasured):
            figure_text(path, facts)
    report = Report(subject="net", facts=facts, outcomes=outcomes)
    (back,) = reports_from_json(json.loads(render([report], "json")))
    for shown in ("text", "concise", "markdown"):
        render([back], shown)


@settings(max_examples=examples(250), deadline=None)
@given(data=st.data(), forged=st.booleans())
def test_any_change_is_refused_or_judged(
    folder: Path, facts: Facts, record: dict[str, Any], data: st.DataObject, forged: bool
) -> None:
    document = changed(data, record)
    if forged:
        document = sealed(document)
    found = told(folder, facts, written(document))
    assert found.training is not None
    assert all(is_one_line(reason) for reason in found.training.mismatches)
    if not forged and json.dumps(document, sort_keys=True) != json.dumps(record, sort_keys=True):
        assert found.training.mismatches
    judged_in_order(found)


@settings(max_examples=examples(250), deadline=None)
@given(data=st.data())
def test_runs_are_added_to_a_record_or_nothing(folder: Path, record: dict[str, Any], data: st.DataObject) -> None:
    file = folder / "adding.json"
    file.write_bytes(written(sealed(changed(data, record))))
    said, found = "", None
    try:
        found = read_record(file)
    except ArchcheckError as error:
        said = str(error)
    if found is None:
        assert is_one_line(said, str(file), "move it away or choose `--output`")
        return
    assert (type(found["schema"]), found["schema"]) == (int, 1)
    assert all(type(each.get("seed")) in (int, type(None)) for each in found["runs"])
    assert free_seed(found) not in [each.get("seed") for each in found["runs"]]


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data(), forged=st.booleans())
def test_an_unsaved_run_is_added_or_stays(folder: Path, data: st.DataObject, forged: bool) -> None:
    """With a record that holds another seed, so that what is taken in has something to agree with."""
    about = {"schema": 1, "model": {"class": "Net"}, "recipe": {"name": "sgd"}, "environment": {"torch": "2"}}
    target, left = folder / "target.json", folder / "target.json.unsaved"
    target.write_bytes(written(sealed({**about, "runs": [run(0)]})))
    before = target.read_bytes()
    pending = {**about, "runs": [run(1)], "checkpoint": {"file": "c", "sha256": "0", "seed": 1}, "weights": "c.unsaved"}
    document = changed(data, pending)
    left.write_bytes(written(sealed(document) if forged and isinstance(document, dict) else document))
    said = ""
    try:
        with recording(target, folder / "c") as kept:
            pass
    except ArchcheckError as error:
        said = str(error)
    if said:
        assert is_one_line(said, "target.json")
        assert left.exists()
        assert target.read_bytes() == before
        left.unlink()
        return
    assert not left.exists()
    assert read_record(target) == kept.record
    assert kept.recovered_seed in [each.get("seed") for each in (kept.record or {})["runs"]]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_record_is_refused(folder: Path, facts: Facts, record: dict[str, Any], damage: str) -> None:
    content = DAMAGE[damage](written(record))
    found = told(folder, facts, content)
    assert found.training is not None
    assert found.training.record is None
    (reason,) = found.training.mismatches
    assert is_one_line(reason, "record")
    judged_in_order(found)
    with pytest.raises(
        ArchcheckError, match=r"record.json` is not a record: it is .*; move it away or choose `--output`$"
    ):
        read_record(folder / "record.json")


def test_a_byte_order_mark_is_accepted(folder: Path, facts: Facts, record: dict[str, Any]) -> None:
    found = told(folder, facts, b"\xef\xbb\xbf" + written(record))
    assert found.training is not None
    assert found.training.record == record
    assert read_record(folder / "record.json") == record


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": True}, "it is not one of schema 1 with a list `runs`"),
        ({"schema": 1.0}, "it is not one of schema 1 with a list `runs`"),
        ({"runs": {}}, "it is not one of schema 1 with a list `runs`"),
        ({"model": "Net"}, "`model` must be a table, found 'Net'"),
        ({"model": []}, "`model` must be a table, found []"),
        ({"checkpoint": "c.safetensors"}, "`checkpoint` must be a table, found 'c.safetensors'"),
        ({"checkpoint": {"epoch": True}}, "`checkpoint.epoch` must be an integer, found True"),
        ({"runs": [run(0), 7]}, "`runs[1]` must be a table, found 7"),
        ({"runs": [run(0), None]}, "`runs[1]` must be a table, found None"),
        ({"runs": [run(0), {"seed": [1]}]}, "`runs[1].seed` must be an integer, found [1]"),
        ({"runs": [{"seed": False}]}, "`runs[0].seed` must be an integer, found False"),
        ({"runs": [{"epochs": 3}]}, "`runs[0].epochs` must be a list, found 3"),
        ({"runs": [{"epochs": [{}, "x"]}]}, "`runs[0].epochs[1]` must be a table, found 'x'"),
        ({"runs": [{"test": 0.99}]}, "`runs[0].test` must be a table, found 0.99"),
        ({"runs": [{"test": {"correct": 9.5}}]}, "`runs[0].test.correct` must be an integer, found 9.5"),
    ],
)
def test_malformed_records_are_reported(record: dict[str, Any], change: dict[str, Any], says: str) -> None:
    assert misshapen({**record, **change}) == says


@pytest.mark.parametrize("document", [None, [], 7, "record", {}, nested(90)])
def test_a_record_must_be_a_table(document: object) -> None:
    assert misshapen(document) == "it is not one of schema 1 with a list `runs`"


def test_missing_keys_are_accepted(record: dict[str, Any]) -> None:
    assert misshapen(record) is None
    assert misshapen({"schema": 1, "runs": []}) is None
    assert misshapen({"schema": 1, "runs": [{}], "checkpoint": None, "model": None}) is None
