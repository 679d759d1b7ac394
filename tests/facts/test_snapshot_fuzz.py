"""Whatever a snapshot file holds, it is read as what it says, or refused in one line that names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.facts.snapshot import COUNTS, LayerMeasures, Snapshot, Totals, read_snapshot, snapshot_text
from archcheck.facts.snapshot_comparison import compare_all
from archcheck.foundation.errors import ArchcheckError
from archcheck.render.comparison import FORMATS
from tests.support.fuzzing import examples
from tests.support.json_mutations import DAMAGE, REFUSED, changed, is_one_line, places, written

TOTALS = Totals(
    params=20, trainable=20, frozen=0, buffers=3, hidden=0, bytes=92, macs=16, fvcore_flops=18, activations=8,
    peak_activation_bytes=64, inputs=("1x4",), outputs=("1x4", "1x2"), receptive_field="3x3", uncounted=("aten::foo",),
)  # fmt: skip
LAYERS = {
    "": LayerMeasures(type="Net", params=0, macs=0, outputs=("1x4",)),
    "a.0": LayerMeasures(type="Linear", params=20, macs=16, outputs=("1x4", "1x2")),
}
SAMPLE = {"net": Snapshot(totals=TOTALS, layers=LAYERS), "also": Snapshot(totals=TOTALS)}
TEXT = snapshot_text(SAMPLE)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots") / "s.json"


def read_or_tell(file: Path, content: bytes) -> dict[str, Snapshot] | None:
    """Return what is read; `None` where it was refused as it should be."""
    file.write_bytes(content)
    try:
        return read_snapshot(file, "s.json")
    except ArchcheckError as error:
        said = str(error)
    assert is_one_line(said, "s.json ", "archcheck snapshot")
    return None


def holds_what_it_should(snapshots: dict[str, Snapshot]) -> bool:
    """Whether every value has the type that it is declared with; `type`, as `True` is an `int` to `isinstance`."""
    totals = [each.totals for each in snapshots.values()]
    layers = [layer for each in snapshots.values() for layer in each.layers.values()]
    counts = [getattr(each, name) for each in totals for name in COUNTS]
    counts += [count for layer in layers for count in (layer.params, layer.macs)]
    words = [word for each in totals for word in (*each.inputs, *each.outputs, *each.uncounted)]
    words += [word for layer in layers for word in (layer.type, *layer.outputs)]
    words += [each.receptive_field for each in totals if each.receptive_field is not None]
    return all(type(count) is int and count >= 0 for count in counts) and all(type(word) is str for word in words)


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_any_change_is_refused_or_read_as_what_it_says(file: Path, data: st.DataObject) -> None:
    document = changed(data, json.loads(TEXT))
    found = read_or_tell(file, written(document))
    if found is None:
        return
    assert (type(document["schema"]), document["schema"]) == (int, 1)
    assert holds_what_it_should(found)
    for pair in ((SAMPLE, found), (found, SAMPLE)):
        for render in FORMATS.values():
            render(compare_all(*pair)).encode()


@settings(max_examples=examples(200), deadline=None)
@given(st.binary() | st.text().map(str.encode) | st.integers(0, len(TEXT) - 3).map(lambda end: TEXT.encode()[:end]))
def test_any_bytes_are_refused(file: Path, content: bytes) -> None:
    assert read_or_tell(file, content) is None


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(file: Path, damage: str) -> None:
    assert read_or_tell(file, DAMAGE[damage](TEXT.encode())) is None


def test_a_byte_order_mark_is_accepted(file: Path) -> None:
    assert read_or_tell(file, b"\xef\xbb\xbf" + TEXT.encode()) == SAMPLE


@pytest.mark.parametrize("number", REFUSED)
def test_a_number_that_is_none_is_refused_anywhere_with_its_line(file: Path, number: float) -> None:
    for index in range(len(places(json.loads(TEXT)))):
        document = json.loads(TEXT)
        container, key = places(document)[index]
        container[key] = {"beyond": number}
        text = json.dumps(document, indent=1)
        line = next(at for at, each in enumerate(text.splitlines(), 1) if '"beyond"' in each)
        file.write_text(text)
        with pytest.raises(ArchcheckError, match=f"in line {line} is not a number"):
            read_snapshot(file, "s.json")


@pytest.mark.parametrize("schema", [True, 1.0, "1", None, [1], 2, 10**99])
def test_another_schema_is_refused(file: Path, schema: object) -> None:
    assert read_or_tell(file, written({**json.loads(TEXT), "schema": schema})) is None


def test_a_wrong_value_is_refused_with_its_place(file: Path) -> None:
    file.write_text(TEXT.replace('"params": 20,', '"params": true,', 1))
    with pytest.raises(ArchcheckError, match=r"damaged: expected int, found True at subjects\.also\.totals\.params; "):
        read_snapshot(file, "s.json")
    file.write_text(TEXT.replace('"params": 20,', '"params": -20,'))
    with pytest.raises(ArchcheckError, match=r"`params` is below zero: -20 at subjects\.also\.totals; "):
        read_snapshot(file, "s.json")
