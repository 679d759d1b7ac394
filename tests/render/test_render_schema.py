"""The JSON Schema of a report: that of the dataclasses, and true of what is written."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archcheck
from archcheck.judging.shards import Shard
from archcheck.render import render
from archcheck.render.schema import report_schema
from archcheck.rules.findings import Outcome, Report
from tests.render.samples import cross_checked, differences, failed, graded, judged, plain_net, troubled_net
from tests.render.test_render_json import OUTCOMES

FILE = Path(archcheck.__file__).with_name("render") / "report.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(report_schema())
REPORTS = (
    judged(),
    failed(),
    Report(subject="odd", facts=troubled_net()),
    Report(subject="counted", facts=cross_checked(*differences())),
)


def written(*reports: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(reports, "json"))
    return document


def test_the_committed_schema_is_that_of_the_dataclasses() -> None:
    """`ARCHCHECK_GOLDEN=write pytest tests/render` updates it."""
    text = json.dumps(report_schema(), indent=2) + "\n"
    if os.environ.get("ARCHCHECK_GOLDEN") == "write":
        FILE.write_text(text, encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == text


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())


def test_what_is_written_is_valid() -> None:
    VALIDATOR.validate(written(*REPORTS))
    VALIDATOR.validate(written())
    shard = Shard(index=2, count=3, subjects=("a", "b"))
    VALIDATOR.validate(json.loads(render((graded(),), "json", shard=shard)))


@settings(max_examples=40, deadline=None)
@given(st.lists(OUTCOMES, max_size=3))
def test_any_outcome_is_valid(outcomes: list[Outcome]) -> None:
    VALIDATOR.validate(written(Report(subject="net", facts=plain_net(), outcomes=tuple(outcomes))))


def test_keys_of_a_newer_writer_are_allowed() -> None:
    document = written(judged())
    document["more"] = document["reports"][0]["facts"]["more"] = 1
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("schema",), 2),
        (("reports", 0, "subject"), 3),
        (("reports", 0, "outcomes", 0, "verdict"), "fine"),
        (("reports", 0, "outcomes", 0, "findings"), None),
        (("reports", 0, "facts", "params", "total"), "many"),
        (("reports", 0, "facts", "layers", 0, "input_shapes"), [["one"]]),
        (("reports", 0, "facts"), None),
        (("reports", 0, "error"), {"kind": "import", "message": "m"}),
    ],
)
def test_what_is_no_report_is_not(keys: tuple[str | int, ...], value: Any) -> None:
    document = deepcopy(written(judged()))
    *path, last = keys
    inner: Any = document
    for key in path:
        inner = inner[key]
    inner[last] = value
    assert not VALIDATOR.is_valid(document)
