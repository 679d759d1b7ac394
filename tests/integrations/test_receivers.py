"""Files for graders are what their readers read, for hostile names, too.

No package carries the schemas of these readers. Those here are our own, made of the fields that they publish:
Gradescope's "Autograder Specifications" (output format), Classroom 50's `classroom50/result/v1`, GitLab's "Code
Quality" (report format) and reviewdog's "Diagnostic Format".
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import jsonschema
import pytest

from archcheck.foundation.errors import ArchcheckError
from archcheck.integrations.classroom50 import fields_of, render_classroom50
from archcheck.integrations.gitlab import render_gitlab
from archcheck.integrations.grade_table import render_csv, text
from archcheck.integrations.grades import grade_of
from archcheck.integrations.gradescope import render_gradescope
from archcheck.integrations.reviewdog import render_rdjson, render_rdjsonl
from tests.integrations.graded_samples import HOSTILE, failed, outcome, report, small_class, too_large

NUMBER: dict[str, Any] = {"type": "number", "minimum": 0}
TEXT = {"type": "string"}
STATUS = {"enum": ["passed", "failed"]}
SEEN = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}


def table(required: str, optional: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the schema of an object that has the required fields, and no others than the optional ones."""
    names = {name: fields.get(name, TEXT) for name in required.split()}
    every = names | (optional or {})
    return {"type": "object", "required": list(names), "properties": every, "additionalProperties": False}


GRADESCOPE = {
    **table(
        "tests",
        optional={"score": NUMBER, "output": TEXT, "visibility": SEEN, "stdout_visibility": SEEN, "extra_data": {},
                  "execution_time": NUMBER, "leaderboard": {"type": "array"}},
        tests={"type": "array", "minItems": 1, "items": table(
            "name", optional={"score": NUMBER, "max_score": NUMBER, "number": TEXT, "output": TEXT,
                              "tags": {"type": "array"}, "visibility": SEEN, "status": STATUS})},
    )
}  # fmt: skip
CLASSROOM50 = table(
    "schema classroom assignment assignment_type owner submission commit release review datetime score max-score tests",
    **{
        "schema": {"const": "classroom50/result/v1"},
        "assignment_type": {"enum": ["individual", "group"]},
        "datetime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
        "score": {"type": "integer", "minimum": 0},
        "max-score": {"type": "integer", "minimum": 0},
        "tests": {"type": "array", "items": {
            "type": "object", "required": ["test-name", "passed", "score", "max-score"],
            "properties": {"test-name": TEXT, "passed": {"type": "boolean"}, "score": {"type": "integer"},
                           "max-score": {"type": "integer"}}}},
    },
)  # fmt: skip
LINE = {"type": "integer", "minimum": 1}
GITLAB = {"type": "array", "items": table(
    "description check_name fingerprint severity location",
    severity={"enum": ["info", "minor", "major", "critical", "blocker"]},
    location=table("path lines", path={"type": "string", "pattern": r"^[^/]"}, lines=table("begin", begin=LINE)),
)}  # fmt: skip
DIAGNOSTIC = table(
    "message location severity code",
    location=table("path range", range=table("start", start=table("line column", line=LINE, column=LINE))),
    severity={"enum": ["ERROR", "WARNING", "INFO", "UNKNOWN_SEVERITY"]},
    code=table("value", optional={"url": {"type": "string", "pattern": "^https?://"}}),
)
RDJSON = table("source severity diagnostics", source=table("name"), diagnostics={"type": "array", "items": DIAGNOSTIC})
FIELDS = {
    name: f"a {name}" for name in ("classroom", "assignment", "owner", "submission", "commit", "release", "review")
}


def read(text: str, schema: dict[str, Any]) -> Any:
    assert text.isascii()
    document = json.loads(text)
    jsonschema.validate(document, schema)
    return document


def test_gradescope_adds_up_for_each_student() -> None:
    for grade in small_class():
        document = read(render_gradescope(grade), GRADESCOPE)
        assert document["score"] == sum(test.get("score", 0) for test in document["tests"]) == grade.earned
        assert sum(test.get("max_score", 0) for test in document["tests"]) == grade.points


def test_gradescope_tells_why_nothing_was_measured() -> None:
    document = read(render_gradescope(small_class()[-1]), GRADESCOPE)
    assert "Python cannot read the file: `model.py` has a syntax error at 1" in document["output"]


def test_a_rule_without_points_has_no_score_in_gradescope() -> None:
    (test,) = read(render_gradescope(grade_of(report("ada", outcome(points=None, earned=None)))), GRADESCOPE)["tests"]
    assert ("score" in test, test["status"]) == (False, "passed")


def test_classroom50_has_whole_scores_and_short_names() -> None:
    fields = fields_of(FIELDS, {})
    for grade in small_class():
        document = read(render_classroom50(grade, fields), CLASSROOM50)
        assert document["score"] == sum(test["score"] for test in document["tests"]) == grade.earned
        assert document["max-score"] == sum(test["max-score"] for test in document["tests"]) == grade.points
    long = grade_of(report("ada", outcome(title="ä" * 99)))
    (test,) = read(render_classroom50(long, fields), CLASSROOM50)["tests"]
    assert test["test-name"] == "ä" * 50


def test_classroom50_refuses_parts_of_points() -> None:
    with pytest.raises(ArchcheckError, match=r"whole points, and max-params has 0\.5"):
        render_classroom50(grade_of(report("ada", too_large(earned=0.5))), fields_of(FIELDS, {}))


@pytest.mark.parametrize(
    ("changes", "environment", "said"),
    [
        ({"commit": "", "review": ""}, {}, '"commit" and "review"; give each as `--field commit=...`'),
        ({"clasroom": "x"}, {}, 'did you mean "classroom"'),
        ({"assignment_type": "pair"}, {}, "individual or group"),
        ({"datetime": "today"}, {}, "in UTC"),
        ({"commit": ""}, {"CLASSROOM50_COMMIT": "abc"}, None),
    ],
)
def test_fields_come_from_options_and_the_environment(
    changes: dict[str, str], environment: dict[str, str], said: str | None
) -> None:
    if said is None:
        assert fields_of(FIELDS | changes, environment)["commit"] == "abc"
        return
    with pytest.raises(ArchcheckError) as error:
        fields_of(FIELDS | changes, environment)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_csv_has_a_line_a_student_and_no_formula() -> None:
    written = render_csv(small_class())
    assert len(written.splitlines()) == 5
    head, *rows = csv.reader(io.StringIO(written))
    assert head[:4] == ["student", "subject", "earned", "points"]
    assert [row[2:4] for row in rows] == [["3", "3"], ["2", "3"], ["1", "3"], ["0", "3"]]
    assert {len(row) for row in rows} == {len(head)}
    for cell in (cell for row in (head, *rows) for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")), cell


@pytest.mark.parametrize("name", ["=1", "+1", "-1", "@A1", "\t=1", " =1", "＝1", "|x", "\r=1"])
def test_a_name_that_a_spreadsheet_would_compute(name: str) -> None:
    assert text(name).startswith(("'", "\\")), text(name)
    assert text("ada") == "ada"


def test_gitlab_has_an_issue_for_each_problem_with_a_fingerprint_of_its_own() -> None:
    found = read(render_gitlab([*small_class(), grade_of(report("two", too_large(), too_large()))], "week3"), GITLAB)
    prints = [issue["fingerprint"] for issue in found]
    assert len(set(prints)) == len(prints) == 6
    assert {issue["severity"] for issue in found} == {"major", "critical"}
    assert found[0]["location"] == {"path": "week3/model.py", "lines": {"begin": 3}}


def test_a_fingerprint_stays_when_figures_change() -> None:
    texts = [f"{number} parameters, limit 100" for number in (112, 190)]
    grades = [grade_of(report("ada", too_large(findings=(type(each)(message=said),)))) for said in texts
              for each in too_large().findings]  # fmt: skip
    first, second = (json.loads(render_gitlab([grade]))[0]["fingerprint"] for grade in grades)
    assert first == second


def test_rdjson_and_a_diagnostic_a_line() -> None:
    document = read(render_rdjson(small_class(), pages="https://example.org"), RDJSON)
    lines = [read(line, DIAGNOSTIC) for line in render_rdjsonl(small_class()).splitlines()]
    assert [each["message"] for each in lines] == [each["message"] for each in document["diagnostics"]]
    assert document["diagnostics"][0]["code"]["url"] == "https://example.org/rules/max-params.md"
    assert "url" not in document["diagnostics"][-1]["code"]


@pytest.mark.parametrize("render", [render_gitlab, render_rdjsonl, render_csv])
def test_hostile_names_stay_on_one_line(render: Any) -> None:
    written = render([grade_of(failed(HOSTILE))])
    assert "\n](y)" not in written
