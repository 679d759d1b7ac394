"""`archcheck diff`: what differs between two saved reports or snapshots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from archcheck.facts.snapshot import LayerMeasures, Snapshot, Totals, snapshot_text
from archcheck.facts.snapshot_comparison import compare, compare_all
from archcheck.render.comparison import FORMATS, summary


def layer(kind: str, params: int, macs: int, output: str = "1x4") -> LayerMeasures:
    return LayerMeasures(type=kind, params=params, macs=macs, outputs=(output,))


TOTALS = Totals(
    params=20, trainable=20, frozen=0, buffers=0, hidden=0, bytes=80, macs=16, fvcore_flops=16, activations=8,
    peak_activation_bytes=64, inputs=("1x4",), outputs=("1x4",),
)  # fmt: skip
BEFORE = Snapshot(
    totals=TOTALS, layers={"": layer("Net", 0, 0), "a": layer("Linear", 20, 16), "b": layer("Tanh", 0, 0)}
)
AFTER = Snapshot(
    totals=replace(TOTALS, params=25, frozen=25, trainable=0, macs=12, outputs=("1x5",), receptive_field="3x3"),
    layers={"": layer("Net", 0, 0), "a": layer("Linear", 25, 16, "1x5"), "c|d": layer("ReLU", 0, 0)},
)


def test_totals_and_layers_that_differ():
    found = compare("net", BEFORE, AFTER)
    assert [(each.name, each.before, each.after) for each in found.totals] == [
        ("params", 20, 25),
        ("trainable", 20, 0),
        ("frozen", 0, 25),
        ("macs", 16, 12),
        ("outputs", ("1x4",), ("1x5",)),
        ("receptive_field", None, "3x3"),
    ]
    assert [each.name for each in found.totals if each.grew] == ["params"]
    assert [each.name for each in found.totals if each.shrank] == ["trainable", "macs"]
    assert (list(found.added), list(found.removed)) == (["c|d"], ["b"])
    assert {path: [each.name for each in changes] for path, changes in found.changed.items()} == {
        "a": ["params", "outputs"]
    }
    assert not found.same


def test_the_same_is_the_same():
    assert compare("net", BEFORE, BEFORE).same
    assert not compare("net", BEFORE, None).same
    assert not compare("net", None, BEFORE).same


def test_subjects_are_matched_by_name_and_one_with_one():
    assert [each.subject for each in compare_all({"a": BEFORE}, {"b": AFTER})] == ["a -> b"]
    several = compare_all({"a": BEFORE, "b": BEFORE}, {"b": BEFORE, "c": AFTER})
    assert [(each.subject, bool(each.before), bool(each.after)) for each in several] == [
        ("a", True, False),
        ("b", True, True),
        ("c", False, True),
    ]


def test_one_line():
    assert summary(compare("net", BEFORE, AFTER)) == (
        "params 20 -> 25 (+5, +25.0 %); trainable 20 -> 0 (-20, -100.0 %); frozen 0 -> 25 (+25, new); "
        "macs 16 -> 12 (-4, -25.0 %); outputs 1x4 -> 1x5; receptive_field none -> 3x3; "
        "1 layer added; 1 layer removed; 1 layer changed"
    )
    assert summary(compare("net", BEFORE, BEFORE)) == "nothing differs"


def test_as_text():
    several = compare_all({"net": BEFORE, "old": BEFORE, "twin": BEFORE}, {"net": AFTER, "twin": BEFORE})
    assert FORMATS["text"](several) == (
        "net\n"
        "  params           20 -> 25     +5, +25.0 %\n"
        "  trainable        20 -> 0      -20, -100.0 %\n"
        "  frozen           0 -> 25      +25, new\n"
        "  macs             16 -> 12     -4, -25.0 %\n"
        "  outputs          1x4 -> 1x5\n"
        "  receptive_field  none -> 3x3\n"
        "  removed  b    Tanh, 1x4\n"
        "  added    c|d  ReLU, 1x4\n"
        "  changed  a    params 20 -> 25 (+5, +25.0 %), outputs 1x4 -> 1x5\n"
        "old: only in the first\n"
        "twin: the same\n"
    )


def test_as_markdown_what_strangers_named_is_escaped():
    lines = FORMATS["markdown"]([compare("net", BEFORE, AFTER), compare("twin", BEFORE, BEFORE)]).splitlines()
    assert "| params | 20 | 25 | +5, +25.0 % |" in lines
    assert "| removed | b | Tanh, 1x4 |" in lines
    assert "| added | c&#124;d | ReLU, 1x4 |" in lines
    assert lines[-3:] == ["#### twin", "", "The same."]


def test_as_markdown_a_limit_stands_beside_the_total_that_it_bounds():
    grown = replace(compare("net", BEFORE, AFTER), limits={"params": 1_000, "bytes": 5})
    lines = FORMATS["markdown"]([grown]).splitlines()
    assert "| measure | before | after | change | limit |" in lines
    assert "| params | 20 | 25 | +5, +25.0 % | 1,000 |" in lines
    assert "| macs | 16 | 12 | -4, -25.0 % |  |" in lines
    # Of what has not changed there is no row, and without a limit of what has there is no column.
    assert "limit" not in FORMATS["markdown"]([replace(grown, limits={"bytes": 5})])


def test_as_json():
    document = json.loads(FORMATS["json"]([compare("net", BEFORE, AFTER)]))
    (found,) = document["comparisons"]
    assert (document["schema"], found["subject"], found["same"]) == (1, "net", False)
    assert found["totals"][0] == {"name": "params", "before": 20, "after": 25}
    assert found["added"] == {"c|d": {"type": "ReLU", "params": 0, "macs": 0, "outputs": ["1x4"]}}
    assert list(found["removed"]) == ["b"]
    assert found["changed"]["a"][1] == {"name": "outputs", "before": ["1x4"], "after": ["1x5"]}


def test_names_that_a_terminal_would_obey_are_spelt_out():
    evil = Snapshot(totals=TOTALS, layers={"a\x1b[31m": layer("Linear", 1, 1)})
    assert "\x1b" not in FORMATS["text"]([compare("x\x1b", evil, BEFORE)])
    assert "\x1b" not in summary(compare("x", BEFORE, replace(BEFORE, totals=replace(TOTALS, uncounted=("\x1b",)))))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.json").write_text(snapshot_text({"net": BEFORE}))
    (tmp_path / "b.json").write_text(snapshot_text({"net": AFTER}))
    return tmp_path


def test_two_snapshots(archcheck, files):
    run = archcheck("diff", "a.json", "b.json", cwd=files)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("net\n  params ")
    same = archcheck("diff", "a.json", "a.json", cwd=files)
    assert (same.returncode, same.stdout) == (0, "net: the same\n")


def test_a_pipe_that_a_shell_has_opened(files):
    command = f'"{sys.executable}" -m archcheck diff <(cat a.json) /dev/stdin < <(cat b.json)'
    run = subprocess.run(["bash", "-c", command], cwd=files, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("net\n  params ")


def test_into_a_file(archcheck, files):
    run = archcheck("diff", "a.json", "b.json", "--format", "markdown", "--output", "d.md", cwd=files)
    assert (run.returncode, run.stdout) == (0, "")
    assert (files / "d.md").read_text().startswith("### archcheck: what differs\n")


def test_a_report_and_a_snapshot(archcheck, project, checked, tmp_path):
    (tmp_path / "pyproject.toml").write_text((project / "pyproject.toml").read_text())
    (tmp_path / "networks.py").write_text((project / "networks.py").read_text())
    assert "good: new" in archcheck("snapshot", "good", "bad", cwd=tmp_path).stdout
    run = archcheck("diff", project / "saved.json", tmp_path / "archcheck.snapshot.json")
    assert run.returncode == 0, run.stderr
    assert run.stdout == "good: the same\nbad: the same\n"
    assert "gone could not be measured, and is left out" in run.stderr


BAD = {
    "truncated.json": b'{"schema": 1, "sub',
    "binary.json": b"\x89PNG\r\n\x1a\n",
    "schema.json": b'{"schema": 9, "subjects": {}}',
    "report.json": b'{"schema": 9, "reports": []}',
    "empty.json": b'{"schema": 1, "reports": []}',
    "none.json": b'{"schema": 1, "subjects": {}}',
    "other.json": b'{"name": "x"}',
    "list.json": b"[]",
}


@pytest.mark.parametrize("name", [*BAD, "missing.json", ".", "pipe.json"])
def test_a_bad_file_is_one_line_and_exit_code_two(archcheck, files, name):
    if name in BAD:
        (files / name).write_bytes(BAD[name])
    if name == "pipe.json":
        os.mkfifo(files / name)
    for pair in ((name, "a.json"), ("a.json", name)):
        run = archcheck("diff", *pair, cwd=files)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.count("\n") == 1, run.stderr
        assert run.stderr.startswith("archcheck: error: ")
        assert "Traceback" not in run.stderr


def test_another_format_is_refused(archcheck, files):
    run = archcheck("diff", "a.json", "b.json", "--format", "github", cwd=files)
    assert run.returncode == 2
    assert '"github" is not a format here; the formats are text, markdown, json' in run.stderr
