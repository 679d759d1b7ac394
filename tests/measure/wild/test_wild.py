"""Files as they are in the wild: each says at its top what a report without any flag has to say of it.

`# Net: 784*10 + 10` are its parameters, written as they are counted by hand; `# Net: error: text` the one line of what
cannot be measured; `# note: text` and `# no note: text` what a note says or none says; `# where:` and `# layer PATH:`
places; `# target:` what is named; `# unused:` layers; `# exit:` the exit code; `# first:` the subject that comes first.
`# input:` is the one flag that the file of an entry gets. A notebook says it in its first cell, a folder in
`expected.txt`. One worker serves them all, as many files are given to one command; `test_wild_process.py` runs some as
a process each.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from archcheck.cli import main
from archcheck.cli import targets
from archcheck.workers.worker_process import Worker
from archcheck.render.schema import report_schema

HERE = Path(__file__).parent
KINDS = ("scripts", "missing", "made", "entries", "notebooks", "packages")
CASES = [
    pytest.param(kind, file.name, id=f"{kind}/{file.name}")
    for kind in KINDS
    for file in sorted((HERE / kind).iterdir())
    if not file.name.startswith(("_", "."))
]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The files, where there is no repository around them."""
    folder = tmp_path_factory.mktemp("wild")
    for kind in KINDS:
        shutil.copytree(HERE / kind, folder / kind, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def worker():
    with Worker() as shared:
        yield shared


@pytest.fixture
def report(worker, monkeypatch, capsys):
    """Return what `archcheck report TARGET --format json` gives: the reports, or the one line of an error."""

    class Shared:
        def __enter__(self):
            return worker

        def __exit__(self, *error):
            pass

    def run(target, flags=(), codes=(0, 2)):
        monkeypatch.setattr(targets, "worker_of", lambda options: Shared())
        code = main(["report", target, *flags, "--format", "json"])
        said = capsys.readouterr()
        assert code in codes
        if not said.out:
            assert code == 2
            assert "Traceback" not in said.err
            return {}, said.err.splitlines()[-1]
        document = json.loads(said.out)
        validator().validate(document)
        return document["reports"], ""

    return run


@cache
def validator():
    return Draft202012Validator(report_schema())


def expected(path):
    """Return the target and what is expected of it."""
    if path.is_dir():
        target, *lines = (path / "expected.txt").read_text().splitlines()
        return target.removeprefix("target: "), lines
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ipynb":
        document = json.loads(text) if text.startswith("{") else {}
        first = (document.get("cells") or document.get("worksheets", [{}])[0].get("cells") or [{}])[0]
        return path.name, "".join(first.get("source", text)).splitlines()
    head = [line for line in text.partition("\n\n")[0].splitlines() if re.match(r"# .+: ", line)]
    return path.name, [line.removeprefix("# ") for line in head if not line.startswith("# -*-")]


ABSENT = ("wandb cv2 pandas seaborn sklearn timm einops kornia numba fastai pytorch_lightning tensorboardX google").split()


def demand_absent(lines):
    """Skip a file about a package that is not there where it is."""
    present = [name for name in ABSENT if importlib.util.find_spec(name) and re.search(rf"\b{name}\b", str(lines))]
    if present:
        pytest.skip(f"{', '.join(present)} is installed")


def everything_in(folder):
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_report_without_a_flag(kind, name, places, report, monkeypatch):
    path = places / kind / name
    target, lines = expected(path)
    demand_absent(lines)
    folder = path if path.is_dir() else path.parent
    monkeypatch.chdir(folder)
    before = everything_in(places)
    said = {what: text for what, _, text in (line.partition(": ") for line in lines) if what in ("input", "exit", "first")}
    lines = [line for line in lines if line.partition(": ")[0] not in said]
    flags = ("--input", said["input"]) if "input" in said else ()
    reports, error = report(target, flags, (int(said["exit"]),) if "exit" in said else (0, 2))
    assert "first" not in said or reports[0]["subject"] == said["first"]
    assert everything_in(places) == before
    assert lines
    if not reports:
        assert len(lines) == 1
        subject, _, text = lines[0].partition(": error: ")
        assert subject in error
        assert text in error
        return
    promised = [line for line in lines if re.match(r"\w+: ", line) and not re.match(r"(note|where|target|frozen|unused): ", line)]
    assert len(promised) == len(reports)
    for line in lines:
        confirm(line, reports)


def confirm(line, reports):
    what, _, said = line.partition(": ")
    facts = [one["facts"] for one in reports if "facts" in one]
    notes = [note for each in facts for note in each["subject"]["notes"]]
    if what == "note":
        assert any(said in note for note in notes), notes
    elif what == "no note":
        assert not any(said in note for note in notes), notes
    elif what == "where":
        assert said in [place(each["subject"]["where"]) for each in facts]
    elif what == "target":
        assert said in [each["subject"]["target"] for each in facts]
    elif what == "frozen":
        assert number(said) in [each["params"]["frozen"] for each in facts]
    elif what == "unused":
        assert said in [", ".join(each["unused_layers"]) for each in facts]
    elif what.startswith("layer "):
        layers = {layer["path"]: layer for each in facts for layer in each["layers"]}
        assert place(layers[what.removeprefix("layer ")]["where"]) == said
    elif said.startswith("error: "):
        errors = [one["error"]["message"] for one in reports if "error" in one and one["subject"] == what]
        assert any(said.removeprefix("error: ") in each for each in errors), (errors, reports[0]["subject"])
        assert all("\n" not in each for each in errors)
    else:
        found = [one["facts"]["params"]["total"] if "facts" in one else one["error"]["message"] for one in reports]
        assert (what, number(said)) in list(zip([one["subject"] for one in reports], found, strict=True))


def number(text):
    assert re.fullmatch(r"[\d+*/%() ]+", text), text
    return eval(text)


def place(where):
    return f"{where['file']}:{where['line']}"
