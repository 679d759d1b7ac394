"""What a snapshot holds, and what is wrong with a file that is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.facts.snapshot import (
    LayerMeasures,
    Snapshot,
    committed,
    incomparable,
    percent,
    read_snapshot,
    snapshot_text,
)
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.whole_files import write_whole
from archcheck.judging.engine import measure


class Net(nn.Module):
    """A convolution in a block and a linear map in `forward`: own measures are not those of the layers inside."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.weight = nn.Parameter(torch.ones(5, 2))

    def forward(self, x):
        return nn.functional.linear(self.block(x).mean((2, 3)), self.weight)


@pytest.fixture(scope="module")
def snapshot():
    return measures_of(measure(Net(), example=torch.zeros(1, 1, 6, 6)))


def test_the_measures_of_a_network(snapshot):
    totals = snapshot.totals
    assert (totals.params, totals.trainable, totals.frozen, totals.buffers, totals.hidden) == (34, 34, 0, 5, 0)
    assert totals.bytes == 4 * (34 + 4) + 8
    assert totals.macs == 4 * 4 * 2 * 9 + 10
    assert (totals.inputs, totals.outputs, totals.receptive_field) == (("1x1x6x6",), ("1x5",), "3x3")
    assert snapshot.layers == {
        "": LayerMeasures(type="Net", params=10, macs=10, outputs=("1x5",)),
        "block": LayerMeasures(type="Sequential", params=0, macs=0, outputs=("1x2x4x4",)),
        "block.0": LayerMeasures(type="Conv2d", params=20, macs=288, outputs=("1x2x4x4",)),
        "block.1": LayerMeasures(type="BatchNorm2d", params=4, macs=0, outputs=("1x2x4x4",)),
    }


def test_frozen_and_hidden_weights_are_told_apart():
    model = Net().requires_grad_(False)
    model.loose = [nn.Linear(5, 3)]
    model.forward = lambda x: model.loose[0](Net.forward(model, x))
    totals = measures_of(measure(model, example=torch.zeros(1, 1, 6, 6))).totals
    assert (totals.params, totals.trainable, totals.frozen, totals.hidden) == (34, 0, 34, 18)


def test_the_file_has_sorted_keys_and_one_value_a_line(snapshot, tmp_path):
    file = tmp_path / "s.json"
    write_whole(file, snapshot_text({"z": snapshot, "a": snapshot}))
    text = file.read_text()
    document = json.loads(text)
    assert document["schema"] == 1
    assert list(document["subjects"]) == ["a", "z"]
    assert list(document["subjects"]["a"]["layers"]) == ["", "block", "block.0", "block.1"]
    assert list(document["subjects"]["a"]["totals"]) == sorted(document["subjects"]["a"]["totals"])
    assert '          "macs": 288,\n' in text
    assert all(line.count(": ") <= 1 for line in text.splitlines())
    assert read_snapshot(file, "s.json") == {"a": snapshot, "z": snapshot}


def test_the_text_tells_nothing_of_the_machine(snapshot):
    facts = measure(Net(), example=torch.zeros(1, 1, 6, 6))
    elsewhere = replace(facts, subject=replace(facts.subject, environment={"torch": "9"}, where=None, notes=("x",)))
    assert snapshot_text({"a": measures_of(elsewhere)}) == snapshot_text({"a": snapshot})
    for word in ("where", "line", "version", "torch", "py"):
        assert f'"{word}' not in snapshot_text({"a": snapshot})


GOOD = snapshot_text({})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "s.json is damaged: not JSON at line 1, column 1 (expecting value)"),
        (GOOD[:-4].encode(), "s.json is damaged: not JSON at line 3, column 16"),
        (b"\x89PNG\r\n", "s.json is not text: byte 0x89 at 0 is not UTF-8"),
        (b"\x00\x01", "s.json is damaged: not JSON at line 1, column 1"),
        (b"[" * 100_000, "s.json is nested too deeply"),
        (b"9" * 5_000, 's.json is damaged: "' + "9" * 60 + '…" in line 1 is not a number here'),
        (b"[]", 's.json is not a snapshot: it has no key "subjects"'),
        (b'{"schema": 1, "reports": []}', 's.json is not a snapshot: it has no key "subjects"'),
        (b'{"schema": 7, "subjects": {}}', "s.json is a snapshot of schema 7, this archcheck reads schema 1"),
        (b'{"subjects": {}}', "s.json is a snapshot of schema null, this"),
        (b'{"schema": 1, "subjects": []}', "s.json is damaged: expected a table, found []"),
        (b'{"schema": 1, "subjects": {"a": {"layers": {}}}}', "s.json is damaged: Snapshot lacks the key `totals`"),
        (b'{"schema": 1, "subjects": {"a": 1}}', "s.json is damaged: expected Snapshot, found 1"),
    ],
)
def test_a_bad_file_is_one_line(content, says, tmp_path):
    file = tmp_path / "s.json"
    file.write_bytes(content)
    with pytest.raises(ArchcheckError) as caught:
        read_snapshot(file, "s.json")
    line = str(caught.value)
    assert says in line
    assert line.endswith("; restore it, or delete it and run `archcheck snapshot`")
    assert "\n" not in line


def test_a_measure_below_zero_is_damage(snapshot, tmp_path):
    (tmp_path / "s.json").write_text(snapshot_text({"a": snapshot}).replace('"params": 34', '"params": -34'))
    with pytest.raises(ArchcheckError, match="damaged: `params` is below zero: -34"):
        read_snapshot(tmp_path / "s.json", "s.json")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(
        ArchcheckError, match=r"^the snapshot file `s.json` is missing; write it with `archcheck snapshot`$"
    ):
        read_snapshot(tmp_path / "s.json", "s.json")
    with pytest.raises(ArchcheckError, match=r"^s.json is a folder, not a JSON file; name a file in it$"):
        read_snapshot(tmp_path, "s.json")


def test_what_is_committed_of_a_subject(snapshot, tmp_path):
    file = tmp_path / "s.json"
    assert committed(file, "a", "s.json").problem == "the snapshot file `s.json` is missing"
    write_whole(file, snapshot_text({"a": snapshot}))
    assert committed(file, "a", "s.json").measures == snapshot
    assert committed(file, "b", "s.json").problem == ('the snapshot file `s.json` has no entry for "b"')


def test_only_what_depends_on_the_input_is_incomparable_on_another(snapshot):
    now = replace(snapshot.totals, inputs=("1x1x9x9",))
    assert incomparable(snapshot.totals, now, ["params", "bytes"]) is None
    assert incomparable(snapshot.totals, now, ["params", "macs"]) == (
        "the snapshot was measured on an input of 1x1x6x6, the model on 1x1x9x9"
    )


def test_a_cost_that_became_unknown_is_incomparable(snapshot):
    now = replace(snapshot.totals, uncounted=("mystery",))
    assert incomparable(snapshot.totals, now, ["activations"]) is None
    assert "the cost of mystery is unknown" in (incomparable(snapshot.totals, now, ["macs"]) or "")
    assert incomparable(now, now, ["macs"]) is None
    assert incomparable(now, snapshot.totals, ["macs"]) is None


def test_percent():
    assert [percent(200, 211), percent(200, 190), percent(0, 5)] == ["+5.5 %", "-5.0 %", "new"]
    assert [percent(20_000, 20_001), percent(20_000, 19_999)] == ["below 0.1 %", "below 0.1 %"]
    assert [percent(1_000, 1_001), percent(1_000, 999), percent(7, 7)] == ["+0.1 %", "-0.1 %", "+0.0 %"]


def test_a_snapshot_without_layers_is_one(snapshot, tmp_path):
    (tmp_path / "s.json").write_text(snapshot_text({"a": Snapshot(totals=snapshot.totals)}))
    assert read_snapshot(tmp_path / "s.json", "s.json")["a"].layers == {}
