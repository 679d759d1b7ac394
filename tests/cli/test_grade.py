"""`archcheck grade`: a class from its contract or from a saved report, and what it refuses before it measures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from archcheck.cli import grade as grade_command
from archcheck.cli import main
from archcheck.render import render
from archcheck.rules.findings import MeasurementFailure, Report
from archcheck.workers.worker_process import Worker
from tests.integrations.graded_samples import failed, outcome, report, too_large

CONTRACT = """
[subjects.homework]
model = "students/*/model.py"
input = [1, 8]

[subjects.homework.rules]
max-params = { limit = 20, points = 2, title = "Small", because = "it must fit" }
head = { kinds = ["linear"], points = 1, title = "Ends in a linear layer" }
"""
NET = "from torch import nn\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(8, {})\n"
SUBMISSIONS = {
    "ada": NET.format(2),
    "ben": NET.format(9),
    "eve": "import os\nos._exit(3)\n",
    "mia": "def (",
    "zoe": NET.format(1),
}


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "archcheck.toml").write_text(CONTRACT)
    for student, text in SUBMISSIONS.items():
        home = tmp_path / "students" / student
        home.mkdir(parents=True)
        (home / "model.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(file: str) -> dict[str, list[str]]:
    with Path(file).open(newline="") as lines:
        return {row[0]: row[2:] for row in csv.reader(lines)}


def test_a_class_is_graded_and_a_late_or_hostile_submission_costs_nobody_else(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["grade", "--to", "csv", "--output", "one.csv", "--feedback", "pages", "--no-paranoid"]) == 0
    first = rows("one.csv")
    assert first["ada"] == ["3", "3", "2", "1", ""]
    assert first["ben"] == ["1", "3", "0", "1", ""]
    assert first["zoe"] == ["3", "3", "2", "1", ""]
    assert first["eve"][:4] == first["mia"][:4] == ["0", "3", "0", "0"]
    assert "exit code 3" in first["eve"][4]
    assert len(list((course / "pages").iterdir())) == 12

    # A second run measures again only what failed, and a late submission changes no other line.
    asked = []
    ask = Worker.exchange

    def counted(worker, request, *more):
        asked.append(request["name"])
        return ask(worker, request, *more)

    monkeypatch.setattr(Worker, "exchange", counted)
    (course / "students" / "late").mkdir()
    (course / "students" / "late" / "model.py").write_text(NET.format(1))
    assert main(["grade", "--to", "csv", "--output", "two.csv", "--no-paranoid"]) == 0
    second = rows("two.csv")
    assert second.pop("late")[:2] == ["3", "3"]
    assert second == first
    assert set(asked) == {"homework[eve]", "homework[mia]", "homework[late]"}


@pytest.mark.usefixtures("course")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_another_submission_may_have_killed_is_measured_again_alone(
    jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here each submission but one is killed the first time, as by one that kills every process of its user."""
    tries: list[str] = []

    def check_many(contract, entries, workers, *, needs=()):
        for entry in entries:
            tries.append(entry.name)
            if tries.count(entry.name) == 1 and entry.name != "homework[mia]":
                yield Report(subject=entry.name, error=MeasurementFailure(kind="crash", message="was killed"), points=3)
            else:
                yield report(entry.member, outcome())

    monkeypatch.setattr(grade_command, "check_many", check_many)
    assert main(["grade", "--to", "csv", "--output", "one.csv", "--jobs", jobs]) == 0
    earned = [row[0] for name, row in rows("one.csv").items() if name != "student"]
    assert earned == (["2"] * 5 if jobs == "2" else ["0", "0", "0", "2", "0"])
    assert tries.count("homework[mia]") == 1


@pytest.mark.usefixtures("course")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_no_submission_causes_gives_nobody_a_zero(
    jobs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check_many(contract, entries, workers, *, needs=()):
        error = MeasurementFailure(kind="environment", message="torch cannot be imported here")
        return (Report(subject=entry.name, error=error, points=3) for entry in entries)

    monkeypatch.setattr(grade_command, "check_many", check_many)
    assert main(["grade", "--to", "csv", "--output", "one.csv", "--jobs", jobs]) == 2
    assert "homework[ada] has no grade, and not for its code: torch cannot" in capsys.readouterr().err
    assert not Path("one.csv").exists()


@pytest.mark.parametrize(
    ("by", "changed", "jobs", "said"),
    [
        ("ben", "students/zoe/model.py", "1", "while homework[ben] was measured"),
        ("ben", "students/ada/model.py", "1", "while homework[ben] was measured"),
        ("ben", "archcheck.toml", "1", "archcheck.toml was changed or deleted while homework[ben] was"),
        ("ben", "students/ada/model.py", "2", "again with `--jobs 1`, which tells when, or"),
        ("ben", "students/ben/model.py", "1", None),
        ("ben", "students/ben/new.py", "1", None),
    ],
)
def test_a_submission_changes_no_file_of_another_unnoticed(
    course: Path,
    by: str,
    changed: str,
    jobs: str,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check_many(contract, entries, workers, *, needs=()):
        for entry in entries:
            file = course / "students" / "eve" / "model.py"
            file.write_bytes(file.read_bytes())  # the same content is no change
            if entry.member == by:
                (course / changed).unlink(missing_ok=True)
            yield report(entry.member, outcome())

    monkeypatch.setattr(grade_command, "check_many", check_many)
    assert main(["grade", "--to", "csv", "--output", "one.csv", "--jobs", jobs]) == (2 if said else 0)
    told = capsys.readouterr().err
    assert said is None or (said in told and f"{changed} was changed or deleted" in told)
    assert Path("one.csv").exists() == (said is None)


def test_a_folder_without_a_file_is_told(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (course / "students" / "kim" / "model.py").mkdir(parents=True)
    for number in range(11):
        (course / "students" / f"x{number:02}").mkdir()
        (course / "students" / f"x{number:02}" / "Model.txt").touch()
    monkeypatch.setattr(grade_command, "check_many", lambda _, entries, *__, **___: (report(e.member) for e in entries))
    assert main(["grade", "--feedback", "pages"]) == 0
    said = capsys.readouterr().err.splitlines()[0]
    assert "note: 12 folders without a file for" in said
    assert said.endswith("students/kim, " + ", ".join(f"students/x{number:02}" for number in range(9)) + " and 2 more")


def saved(*reports: Report) -> None:
    Path("report.json").write_text(render(reports, "json"))


def test_a_saved_report_gives_a_file_a_student(course: Path) -> None:
    saved(report("ada", outcome()), report("B/../x", too_large()), failed("zoe"))
    assert main(["grade", "report.json", "--to", "gradescope", "--output", "out/"]) == 0
    scores = {file.name[:14]: json.loads(file.read_text())["score"] for file in (course / "out").iterdir()}
    assert scores == {"homework.ada.j": 2, "homework-b-x-b": 1, "homework.zoe.j": 0} or sorted(scores.values()) == [
        0,
        1,
        2,
    ]
    assert {file.parent for file in course.rglob("*.json")} == {course, course / "out"}


def test_a_contract_tells_a_saved_report_the_rules_of_what_failed(course: Path) -> None:
    saved(failed("zoe"))
    assert main(["grade", "report.json", "--config", "archcheck.toml", "--to", "gradescope", "--output", "z.json"]) == 0
    assert [test["name"] for test in json.loads(Path("z.json").read_text())["tests"]] == [
        "Small",
        "Ends in a linear layer",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "needs --to"),
        (["--to", "gradscope"], 'did you mean "gradescope"'),
        (["--output", "x.csv"], "--output needs --to"),
        (["--to", "gradescope"], "takes the grade of one submission, found 5"),
        (["--to", "csv", "--output", "out/"], "csv is one file for all"),
        (["--to", "classroom50", "homework[ada]"], "classroom50 needs"),
        (["--to", "csv", "--field", "owner=x"], "--field is for"),
        (["--to", "csv", "--field", "owner"], "is not NAME=VALUE"),
        (["--to", "csv", "--output", "none/x.csv"], "cannot write"),
        (["--feedback", "none/pages"], "is not a folder"),
        (["--to", "csv", "nobody"], "is not a subject"),
        (["--to", "csv", "report.json", "homework"], "is no JSON report"),
        (["--to", "csv", "report.json", "--meta"], "measures nothing in report.json"),
        (["--to", "csv", "report.json", "report.json"], "there twice"),
        (["--to", "csv", "plain.json"], "no rule in plain.json has points"),
        (["--to", "csv", "--config", "plain.toml"], "no rule of plain.toml has points"),
        (["--to", "gitlab", "broken.json"], "is not a report"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_is_written(
    course: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(report("ada", outcome()))
    Path("plain.json").write_text(render([report("ada", outcome(points=None, earned=None), points=None)], "json"))
    Path("plain.toml").write_text('[subjects.net]\nmodel = "net.py"\nrules.max-params = 1\n')
    Path("broken.json").write_text("{}")
    before = sorted(course.rglob("*"))
    monkeypatch.setattr(grade_command, "check_many", lambda *_, **__: pytest.fail("measured before it was refused"))
    assert main(["grade", *words]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert said in error
    assert error.count("\n") == 1
    assert sorted(course.rglob("*")) == before
