"""Verdicts: kept, broken, waived, vacuous, error; and the exit code that follows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from archcheck import ArchcheckError, BrokenContract, Report, SubjectError, Verdict, check, measure
from archcheck.contract import Stated, Waiver, load
from archcheck.engine import check_contract, exit_code, judge
from archcheck.facts import Facts
from archcheck.findings import Finding, Mishap, Result, reports_from_json, reports_to_json
from archcheck.rule import Rule, rule_name
from archcheck.rules import FollowedBy, LogProbabilities, MaxParams, NoHiddenWeights, NoPadding, Requires
from archcheck.where import Where

HERE = Where(file="contract.toml", line=3)
NET = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
IMAGE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return measure(NET, example=IMAGE)


def outcome(facts, rule, *waivers):
    return judge(facts, [Stated(rule=rule, instance=rule_name(rule), where=HERE)], waivers)[0]


def waiver(rule="no-padding", layer=None, until=None):
    return Waiver(
        rule=rule, layer=layer, reason="documented so", until=until, where=Where(file="contract.toml", line=9)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Faulty(Rule):
    """A rule with a fault of its own."""

    def check(self, facts: Facts) -> Result:
        raise KeyError("oops")


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


@pytest.mark.parametrize(
    ("useless", "says"),
    [
        (waiver(rule="max-params"), "the waiver at contract.toml:9 matches no finding"),
        (waiver(rule="max-params", layer="9"), "matches no finding"),
    ],
)
def test_a_stale_waiver_breaks_the_rule(facts, useless, says):
    stale = outcome(facts, MaxParams(limit=1000), useless)
    assert stale.verdict is Verdict.BROKEN
    assert says in stale.summary


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
    first, second = instances(facts, waiver(layer="9"), waiver(layer="2"))
    assert (first.verdict, second.verdict) == (Verdict.BROKEN, Verdict.WAIVED)
    (complaint,) = first.findings
    assert "matches no finding" in complaint.message


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
        from archcheck.findings import Outcome

        return Outcome(rule="r", instance="r", verdict=verdict)

    assert exit_code([report(Verdict.KEPT, Verdict.WAIVED)]) == 0
    assert exit_code([report(Verdict.KEPT), report(Verdict.BROKEN)]) == 1
    assert exit_code([report(Verdict.VACUOUS)]) == 1
    assert exit_code([report(Verdict.BROKEN), report(Verdict.ERROR)]) == 2
    assert exit_code([report(error=Mishap(kind="import", message="no"))]) == 2


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
        Report(subject="x", error=Mishap(kind="import", message="no")).verify()
    assert check(NET, example=IMAGE, rules=[MaxParams(limit=1000)]).verify().exit_code == 0


def test_reports_survive_json():
    report = check(NET, example=IMAGE, rules=[MaxParams(limit=10), NoPadding(), Requires(kinds=("relu",))])
    document = reports_to_json((report, Report(subject="y", error=Mishap(kind="import", message="no"))))
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
