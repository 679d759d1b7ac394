"""Verdicts: kept, broken, waived, vacuous, error; and the exit code that follows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from archcheck import ArchcheckError, BrokenContract, Report, SubjectError, Verdict, check, measure
from archcheck.contract import Stated, Waiver, load
from archcheck.facts.facts import Facts
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import check_contract, exit_code, judge
from archcheck.rules import (
    FollowedBy,
    LogProbabilities,
    MaxParams,
    NoHiddenWeights,
    NoPadding,
    NoUnusedParams,
    Requires,
)
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Finding, MeasurementFailure, Result, reports_from_json, reports_to_json

HERE = Where(file="contract.toml", line=3)
NET = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
IMAGE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return measure(NET, example=IMAGE)


def outcome(facts, rule, *waivers):
    return judge(facts, [Stated(rule=rule, instance=rule_name(rule), where=HERE)], waivers)[0]


def waiver(rule="no-padding", **values):
    return Waiver(rule=rule, reason="documented so", where=Where(file="contract.toml", line=9), **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty(Rule):
    """A rule with a fault of its own."""

    def check(self, facts: Facts) -> Result:
        raise KeyError("oops")


@dataclass(frozen=True, slots=True, kw_only=True)
class MinLayers(Rule):
    """A rule that finds two where more are wanted."""

    limit: int

    def check(self, facts: Facts) -> Result:
        return Result(examined=1, findings=(Finding(message="2 layers"),), found=2, limit=self.limit)


def test_kept_and_broken(facts):
    assert outcome(facts, MaxParams(limit=1000)).verdict is Verdict.KEPT
    assert outcome(facts, MaxParams(limit=10)).verdict is Verdict.BROKEN


def test_a_rule_that_looked_at_nothing_has_not_passed(facts):
    rule = FollowedBy(layer="lstm", by="dropout")
    assert outcome(facts, rule).verdict is Verdict.VACUOUS
    assert outcome(facts, rule).fails
    assert outcome(facts, FollowedBy(layer="lstm", by="dropout", allow_empty=True)).verdict is Verdict.KEPT


def test_a_prohibition_that_found_nothing_is_kept(facts):
    assert outcome(facts, NoHiddenWeights()).verdict is Verdict.KEPT


def test_a_prohibition_that_points_at_nothing_is_no_pass(facts):
    assert outcome(facts, NoPadding(on="nowhere.**")).verdict is Verdict.ERROR


def test_what_was_not_measured_is_an_error(facts):
    assert outcome(facts, LogProbabilities()).verdict is Verdict.ERROR


def test_a_rule_that_fails_itself_is_an_error_and_ends_nothing(facts):
    assert outcome(facts, Faulty()).verdict is Verdict.ERROR
    assert "the rule itself failed: KeyError: 'oops'" in outcome(facts, Faulty()).summary


def test_a_waiver_accepts_findings(facts):
    waived = outcome(facts, NoPadding(), waiver())
    assert waived.verdict is Verdict.WAIVED
    assert len(waived.waived) == 2
    assert not waived.fails
    assert "waived: documented so" in waived.summary


def test_a_waiver_for_one_layer_leaves_the_others(facts):
    partly = outcome(facts, NoPadding(), waiver(layer="0"))
    assert partly.verdict is Verdict.BROKEN
    assert [finding.layer for finding in partly.findings] == ["2"]
    assert [finding.layer for finding in partly.waived] == ["0"]


def test_a_stale_waiver_breaks_the_rule(facts):
    for useless in (waiver(rule="max-params"), waiver(rule="max-params", layer="9")):
        stale = outcome(facts, MaxParams(limit=1000), useless)
        assert stale.verdict is Verdict.BROKEN
        assert stale.summary == (
            "the waiver at contract.toml:9 is stale: nothing is left to waive, `max-params` is kept"
        )
        assert stale.findings[0].fix == "remove the waiver at contract.toml:9"


def test_no_waiver_excuses_an_on_that_selects_nothing(facts):
    for layer in (None, "typo"):
        mistaken = outcome(facts, MaxParams(limit=1, on="typo"), waiver(rule="max-params", layer=layer))
        assert mistaken.findings[0].message.startswith('`on` = "typo" selects nothing; ')
        assert mistaken.findings[0].where == HERE
        assert mistaken.findings[1].message.endswith("nothing is left to waive, `max-params` is vacuous")


def test_a_waiver_that_points_elsewhere_breaks_the_rule_and_names_what_there_is(facts):
    unmatched = outcome(facts, NoPadding(), waiver(layer="9"))
    assert unmatched.verdict is Verdict.BROKEN
    assert unmatched.findings[-1].message == (
        'the waiver at contract.toml:9 matches no finding: they are at "0" and "2", not at `9`'
    )
    assert "point its `layer`" in unmatched.findings[-1].fix
    nowhere = outcome(facts, MaxParams(limit=10), waiver(rule="max-params", layer="9"))
    assert "they are at no layer, not at `9`" in nowhere.findings[-1].message


def test_a_waiver_holds_as_long_as_a_bound_finds_no_more(facts):
    for up_to in (188, 188.5, 10**18):
        assert outcome(facts, MaxParams(limit=10), waiver("max-params", up_to=up_to)).verdict is Verdict.WAIVED
    exceeded = outcome(facts, MaxParams(limit=10), waiver("max-params", up_to=187.0))
    assert exceeded.verdict is Verdict.BROKEN
    assert exceeded.waived == ()
    own, complaint = exceeded.findings
    assert own.message.startswith("188 parameters, limit 10")
    assert complaint.message == "the waiver at contract.toml:9 holds up to 187, found 188"
    assert complaint.fix == "mend the model, or change `up-to` at contract.toml:9"


def test_a_waiver_of_a_lower_bound_holds_as_long_as_it_finds_no_less(facts):
    assert outcome(facts, MinLayers(limit=9), waiver("min-layers", up_to=2)).verdict is Verdict.WAIVED
    exceeded = outcome(facts, MinLayers(limit=9), waiver("min-layers", up_to=3))
    assert exceeded.verdict is Verdict.BROKEN
    assert "holds down to 3, found 2" in exceeded.findings[-1].message


def test_a_waiver_of_any_other_rule_counts_its_findings(facts):
    assert outcome(facts, NoPadding(), waiver(up_to=2)).verdict is Verdict.WAIVED
    assert outcome(facts, NoPadding(), waiver(up_to=1, layer="0")).findings[0].layer == "2"
    exceeded = outcome(facts, NoPadding(), waiver(up_to=1))
    assert len(exceeded.findings) == 3
    assert exceeded.findings[-1].message == "the waiver at contract.toml:9 holds up to 1 finding, found 2"


def test_what_exceeds_a_waiver_in_one_instance_is_waived_in_another(facts):
    rules = {"no-padding-1": NoPadding(), "no-padding-2": NoPadding(on="2")}
    stated = [Stated(rule=rule, instance=name, where=HERE) for name, rule in rules.items()]
    first, second = judge(facts, stated, [waiver(up_to=1)])
    assert (first.verdict, second.verdict) == (Verdict.BROKEN, Verdict.WAIVED)


def test_points_are_earned_by_what_is_kept_or_waived(facts):
    kept, broken = MaxParams(limit=1000, points=1.5), MaxParams(limit=10, points=2)
    assert (outcome(facts, kept).points, outcome(facts, kept).earned) == (1.5, 1.5)
    assert (outcome(facts, broken).points, outcome(facts, broken).earned) == (2, 0)
    assert outcome(facts, broken, waiver("max-params")).earned == 2
    assert outcome(facts, MaxParams(limit=10)).earned is None
    vacuous = FollowedBy(layer="lstm", by="dropout", points=1)
    assert (outcome(facts, vacuous).verdict, outcome(facts, vacuous).earned) == (Verdict.VACUOUS, 0)
    assert outcome(facts, LogProbabilities(points=1)).earned == 0


def test_a_waiver_of_no_use_costs_the_model_nothing(facts):
    stale = outcome(facts, MaxParams(limit=1000, points=2), waiver("max-params"))
    assert (stale.verdict, stale.earned) == (Verdict.BROKEN, 2)
    assert outcome(facts, MaxParams(limit=10, points=2), waiver("max-params", up_to=20)).earned == 0


def test_the_points_of_a_report_add_up():
    tenths = [NoHiddenWeights(points=0.1), NoUnusedParams(points=0.1), MaxParams(limit=1000, points=0.1)]
    report = check(NET, example=IMAGE, rules=[*tenths, NoPadding(points=4), Requires(kinds=("conv",))])
    assert (report.points, report.earned) == (4.3, 0.3)
    assert check(NET, example=IMAGE, rules=[NoPadding()]).points is None
    (back,) = reports_from_json(reports_to_json((report,)))
    assert back == report
    totals = reports_to_json((report,))["reports"][0]["totals"]
    assert totals == {"rules": 5, "kept": 4, "broken": 1, "waived": 0, "vacuous": 0, "error": 0}


def test_a_subject_that_cannot_be_measured_earns_nothing_of_its_points(tmp_path):
    (tmp_path / "archcheck.toml").write_text(
        '[subjects.a]\nmodel = "a.py:A"\nrules = { max-params = { limit = 1, points = 3 }, no-padding = true }\n'
    )
    (report,) = check_contract(load(tmp_path / "archcheck.toml"))
    assert (report.error.kind, report.points, report.earned) == ("not-found", 3, 0)


@pytest.mark.parametrize("points", [0, -1, float("inf"), float("nan")])
def test_points_are_positive(points):
    with pytest.raises(ValueError, match="`points` must be positive, found"):
        MaxParams(limit=1, points=points)


@pytest.mark.parametrize(
    ("days", "said"),
    [(0, "expires at the end of today"), (1, "expires in 1 day;"), (14, "expires in 14 days;"), (15, None)],
)
def test_a_waiver_that_expires_soon_is_noted(facts, days, said):
    until = datetime.date.today() + datetime.timedelta(days=days)
    waived = outcome(facts, NoPadding(), waiver(until=until))
    assert waived.verdict is Verdict.WAIVED
    assert [said in note for note in waived.notes] == ([] if said is None else [True])


def test_an_expired_waiver_no_longer_waives(facts):
    expired = outcome(facts, NoPadding(), waiver(until=datetime.date(2020, 1, 1)))
    assert expired.verdict is Verdict.BROKEN
    assert len(expired.findings) == 3
    assert "expired on 2020-01-01" in expired.findings[-1].message


def instances(facts, *waivers):
    """Judge two instances of `no-padding`, of which only the second finds something."""
    rules = {"no-padding": NoPadding(on="1"), "no-padding-2": NoPadding(on="2")}
    return judge(facts, [Stated(rule=rule, instance=name, where=HERE) for name, rule in rules.items()], waivers)


def test_a_waiver_excuses_no_complaint_about_another(facts):
    unused = waiver(layer="9")
    for waivers in ([unused, waiver()], [waiver(), unused], [waiver(until=datetime.date(2020, 1, 1)), waiver()]):
        judged = outcome(facts, NoPadding(), *waivers)
        assert judged.verdict is Verdict.BROKEN
        assert len(judged.waived) == 2
        (complaint,) = judged.findings
        assert "the waiver at contract.toml:9" in complaint.message


def test_a_waiver_for_all_instances_need_only_match_one(facts):
    first, second = instances(facts, waiver())
    assert (first.verdict, second.verdict) == (Verdict.KEPT, Verdict.WAIVED)


def test_a_waiver_that_matches_in_no_instance_is_told_once(facts):
    for waivers in ([waiver(layer="9"), waiver(layer="2")], [waiver(layer="2"), waiver(layer="9")]):
        first, second = instances(facts, *waivers)
        assert (first.verdict, second.verdict) == (Verdict.KEPT, Verdict.BROKEN)
        (complaint,) = second.findings
        assert 'matches no finding: they are at "2", not at `9`' in complaint.message
        assert len(second.waived) == 1


def test_a_waiver_for_one_instance_leaves_the_others_alone(facts):
    first, second = instances(facts, waiver(rule="no-padding-2"))
    assert (first.verdict, second.verdict) == (Verdict.KEPT, Verdict.WAIVED)


def test_a_waiver_for_what_could_not_be_judged_is_not_called_useless(facts):
    judged = outcome(facts, LogProbabilities(), waiver(rule="log-probabilities"))
    assert judged.verdict is Verdict.ERROR
    assert judged.waived == ()


def test_exit_codes():
    def report(*verdicts, error=None):
        outcomes = tuple(judge_outcome(verdict) for verdict in verdicts)
        return Report(subject="x", error=error, outcomes=outcomes)

    def judge_outcome(verdict):
        from archcheck.rules.findings import Outcome

        return Outcome(rule="r", instance="r", verdict=verdict)

    assert exit_code([report(Verdict.KEPT, Verdict.WAIVED)]) == 0
    assert exit_code([report(Verdict.KEPT), report(Verdict.BROKEN)]) == 1
    assert exit_code([report(Verdict.VACUOUS)]) == 1
    assert exit_code([report(Verdict.BROKEN), report(Verdict.ERROR)]) == 2
    assert exit_code([report(error=MeasurementFailure(kind="import", message="no"))]) == 2


def test_a_subject_without_rules_is_no_pass(tmp_path):
    (tmp_path / "archcheck.toml").write_text('[subjects.a]\nmodel = "a.py:A"\n')
    (report,) = check_contract(load(tmp_path / "archcheck.toml"))
    assert report.exit_code == 2
    assert report.error.message == (
        f"nothing is promised: `a` at {tmp_path}/archcheck.toml:1 has no rules; state some under its `rules`"
    )


def test_verify_raises_what_is_wrong():
    report = check(NET, example=IMAGE, rules=[MaxParams(limit=10)])
    with pytest.raises(BrokenContract, match="188 parameters, limit 10") as caught:
        report.verify()
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, ArchcheckError)
    with pytest.raises(SubjectError):
        Report(subject="x", error=MeasurementFailure(kind="import", message="no")).verify()
    assert check(NET, example=IMAGE, rules=[MaxParams(limit=1000)]).verify().exit_code == 0


def test_reports_survive_json():
    report = check(NET, example=IMAGE, rules=[MaxParams(limit=10), NoPadding(), Requires(kinds=("relu",))])
    document = reports_to_json((report, Report(subject="y", error=MeasurementFailure(kind="import", message="no"))))
    back = reports_from_json(document)
    assert reports_to_json(back) == document
    assert back[0].facts.to_json() == report.facts.to_json()
    assert "error" not in document["reports"][0]
    assert "facts" not in document["reports"][1]


@pytest.mark.parametrize(
    "value", [None, {}, [], {"schema": 99, "reports": []}, {"schema": 1, "reports": [{"subject": 3}]}]
)
def test_anything_else_is_no_report(value):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages differ
        reports_from_json(value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda facts: facts["ops"].pop(0),
        lambda facts: facts["ops"][1].update(inputs=[99]),
        lambda facts: facts["ops"][1].update(inputs=[1]),
        lambda facts: facts["shape"].update(output_ops=[99]),
        lambda facts: facts.update(train_length=99),
    ],
)
def test_a_report_whose_graph_does_not_fit_is_refused(damage):
    document = reports_to_json((check(NET, example=IMAGE, rules=[NoPadding()]),))
    damage(document["reports"][0]["facts"])
    with pytest.raises(ValueError, match="operation"):
        reports_from_json(document)


def test_a_finding_without_more_is_its_message(facts):
    assert (
        outcome(facts, MaxParams(limit=10)).headline == "broken max-params: 188 parameters, limit 10 (+178, +1780.0 %)"
    )
    assert Finding(message="x").where is None
