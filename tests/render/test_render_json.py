import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.foundation.source_place import Where
from archcheck.render import render
from archcheck.rules.findings import Finding, MeasurementFailure, Outcome, Report, Verdict, reports_from_json
from tests.render.samples import failed, judged, plain_net, troubled_net

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
PLACES = st.builds(Where, file=st.text(), line=st.integers(min_value=1))
OPTIONAL_TEXT = st.none() | st.text()
FINDINGS = st.builds(Finding, message=st.text(), layer=OPTIONAL_TEXT, where=st.none() | PLACES, fix=OPTIONAL_TEXT)
OUTCOMES = st.builds(
    Outcome,
    rule=st.text(),
    instance=st.text(),
    verdict=st.sampled_from(Verdict),
    found=VALUES,
    limit=VALUES,
    unit=OPTIONAL_TEXT,
    kept=OPTIONAL_TEXT,
    notes=st.lists(st.text(), max_size=2).map(tuple),
    because=OPTIONAL_TEXT,
    findings=st.lists(FINDINGS, max_size=2).map(tuple),
    most=st.lists(st.text(), max_size=2).map(tuple),
    contract=st.none() | PLACES,
    waived=st.lists(FINDINGS, max_size=2).map(tuple),
    waiver=OPTIONAL_TEXT,
    points=st.none() | st.floats(min_value=0.1, max_value=100),
    earned=st.none() | st.floats(min_value=0, max_value=100),
)


def read_back(*reports: Report) -> tuple[Report, ...]:
    return reports_from_json(json.loads(render(reports, "json")))


def test_reports_come_back_as_they_went() -> None:
    reports = (judged(), Report(subject="odd", facts=troubled_net()), failed())
    assert read_back(*reports) == reports


@given(st.builds(MeasurementFailure, kind=st.text(), message=st.text()), st.lists(OUTCOMES, max_size=1).map(tuple))
@settings(max_examples=40, deadline=None)
def test_any_mishap_comes_back_as_it_went(error: MeasurementFailure, outcomes: tuple[Outcome, ...]) -> None:
    report = Report(subject="lost", error=error, outcomes=outcomes)
    assert read_back(report) == (report,)


@settings(max_examples=40, deadline=None)
@given(st.lists(OUTCOMES, max_size=3), st.text())
def test_any_outcome_comes_back_as_it_went(outcomes: list[Outcome], name: str) -> None:
    report = Report(subject=name, facts=plain_net(), outcomes=tuple(outcomes))
    assert read_back(report) == (report,)


def test_the_document_has_the_documented_keys() -> None:
    document = json.loads(render((judged(), failed()), "json"))
    assert document["schema"] == 1
    first, second = document["reports"]
    assert set(first) == {"subject", "facts", "outcomes", "points", "earned", "totals"}
    assert set(second) == {"subject", "error", "outcomes", "points", "earned", "totals"}
    assert first["totals"] == {"rules": 6, "kept": 1, "broken": 2, "waived": 1, "vacuous": 1, "error": 1}
    broken = first["outcomes"][1]
    assert (broken["rule"], broken["verdict"], broken["found"], broken["limit"], broken["unit"]) == (
        "max-params", "broken", 1_290, 1_000, "parameters",
    )  # fmt: skip


def test_what_json_cannot_write_is_a_word() -> None:
    outcome = Outcome(rule="r", instance="r", verdict=Verdict.BROKEN, found=[math.nan, math.inf, -math.inf, 0.5])
    document = json.loads(
        render((Report(subject="s", outcomes=(outcome,)),), "json"), parse_constant=lambda name: 1 / 0
    )
    assert document["reports"][0]["outcomes"][0]["found"] == ["nan", "inf", "-inf", 0.5]


def test_the_document_is_ascii() -> None:
    assert render((Report(subject="größe\ud800"),), "json").isascii()
