"""`score`: formulas of figures, and claims of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated, load
from archcheck.foundation.errors import ContractError
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts
from archcheck.judging.engine import judge, measure
from archcheck.rules import Claim, Score
from archcheck.rules.queries.figure_formulas import Formula
from tests.rules.test_claim import TRAINED

FACTS = replace(measure(nn.Linear(3, 4), example=torch.zeros(1, 3)), training=TRAINED)
"""16 parameters, 64 bytes, 12 multiply-accumulates; 99.1 and 99.2 % of 1,000."""


def judged(rule, facts=FACTS):
    return judge(facts, [Stated(rule=rule, instance="score", where=Where(file="", line=0))])[0]


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("params.total", 16), ("-params.total", -16), ("+params.total / 3 * 3", 16),
        ("params.total / 32k", 16 / 32_000),
        ("params.total / 1_000", 0.016), ("params.bytes / 128 KiB", 64 / 131_072), ("50 % * params.total", 8),
        ("params.total ** 2", 256), ("params.total ** -1", 1 / 16), ("params.total ** 0.5", 4),
        ("0 ** 0 * params.total", 16),
        ("exp(cost.macs / 12)", math.e), ("log(params.total)", math.log(16)), ("log(params.total, 2)", 4),
        ("log2(params.total) + log10(1000)", 7), ("sqrt(params.total)", 4), ("min(params.total, cost.macs)", 12),
        ("max(params.total, 5, 20)", 20), ("abs(cost.macs - params.total)", 4), ("floor(params.total / 3)", 5),
        ("ceil(params.total / 3)", 6), ("training.accuracy * 100", 99.15), ("training.record.recipe.sizes[0]", 128),
        ("training.record.recipe.sizes[1] * 2", 1e-4), ("1.2e1 / cost.macs", 1), ("(params.total-16)*1T", 0),
        ("params.total ** 64 ** 2", None), ("exp(params.total * 100)", None), ("1 / (params.total - 16)", None),
        ("sqrt(-params.total)", None), ("log(params.total - 16)", None), ("(-params.total) ** 0.5", None),
        ("0 ** (cost.macs - params.total)", None), ("10 ** 10 ** 10 ** params.total", None), ("dropout", None),
        ("params.total ** 9 ** 9 / params.total ** 9 ** 9", None), ("exp(-params.total * 1e6)", 0),
    ],
)  # fmt: skip
def test_formulas(formula, value):
    found = judged(Score(formula=formula, at_most=1e9))
    if value is None:
        assert found.verdict == "error"
        assert "`" not in found.summary or "dropout" in found.summary
        assert not found.summary.startswith("the rule itself failed")
    else:
        assert found.found == pytest.approx(value, rel=1e-12)


def test_bounds_are_compared_exactly():
    tenths = "0.1 * params.total / 16 + 0.2 * params.total / 16"
    assert 0.1 + 0.2 > 0.3
    assert judged(Score(formula=tenths, at_most=0.3)).verdict == "kept"
    assert judged(Score(formula=tenths, at_least=0.3)).verdict == "kept"
    close = judged(Score(formula=f"{tenths} + 1e-12", at_most=0.3))
    assert close.summary.startswith("the score is 0.300000000001, at most 0.3 is allowed (+0.0 %)")


def test_every_figure_is_told():
    assert judged(Score(formula="params.total + cost.macs + params.total", at_least=10, at_most=50)).kept == (
        "the score is 44, at least 10 and at most 50: params.total is 16, cost.macs is 12"
    )
    found = judged(Score(formula="training.accuracy / params.total", at_least=0.1))
    assert found.summary == (
        "the score is 0.0619688, at least 0.1 is asked for (-38.0 %): training.accuracy is 99.15 %, params.total is 16"
    )
    assert judged(Score(formula="params.total - 20", at_most=-5)).summary.startswith("the score is -4, at most -5 is")


def test_an_operation_of_unknown_cost_gives_no_score_of_costs():
    unknown = replace(FACTS, cost=replace(FACTS.cost, uncounted=("own::scan",)))
    rule = Score(formula="cost.macs / 100", at_most=1)
    assert judged(rule, unknown).verdict == "error"
    assert 'the cost of "own::scan" is unknown' in judged(rule, unknown).summary
    assert judged(replace(rule, free=("own::scan",)), unknown).verdict == "kept"
    assert judged(Score(formula="params.total", at_most=16), unknown).verdict == "kept"


def test_only_figures_of_the_training_need_the_record():
    assert Score(formula="params.total", at_most=1).needs == ()
    assert Score(formula="params.total * training.epochs", at_most=1).needs == ("training",)


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("params.totl * 2", 'is wrong: "params.totl" is not a figure; did you mean "params.total"?'),
        ("2 * 3", "names no figure"), ("", "is not a formula"), ("params.total *", "is not a formula"),
        ("expp(params.total)", 'calls "expp", which is not a function here; did you mean "exp"?'),
        ("params.total % 3", "holds"), ("params.total // 3", "holds"), ("params.total, 3", "holds"),
        ("params.total if 1 else 2", "holds"), ("'a' * params.total", "holds"), ("True * params.total", "holds"),
        ("params.total < 3", "holds"), ("min(*params.total)", "holds"), ("exp(x=params.total)", "holds"),
        ("exp() * params.total", "holds"), ("exp(params.total, 2)", 'gives "exp" 2 numbers, at most 1'),
        ("__import__('os').system('x')", "holds"), ("(lambda: params.total)()", "holds"),
        ("1j * params.total", "holds"),
        ("params.total + 1e400", "holds a number above"), ("params.total + " * 99, "is longer than 1,000 characters"),
        ("-" * 300 + "params.total", "has more than 200 levels of signs, brackets and terms"),
        ("276,000 * params.total", 'holds "276,000"; write 276_000'), ("min(params.total, 1,000,000)", "holds"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused(formula, says):
    with pytest.raises(ValueError, match=r"^[a-z].*\S$") as caught:
        Formula(formula)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ('"params.total"', "give `at-most` or `at-least`"),
        ('{ formula = "params.total", at-most = 1, at-least = 2 }', "`at-least` is 2, above `at-most`, 1"),
        ('{ formula = "parms.total", at-most = 1 }', 'the formula is wrong: "parms.total" is not a figure'),
        ('{ at-most = 1 }', '"score" needs "formula"'),
    ],
)  # fmt: skip
def test_a_mistake_in_a_contract_is_told_at_its_line(fields, says, tmp_path):
    (tmp_path / "archcheck.toml").write_text(
        f'[subjects.net]\nmodel = "m.py"\n[subjects.net.rules]\nscore = {fields}\n'
    )
    with pytest.raises(ContractError) as caught:
        load(tmp_path / "archcheck.toml")
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.line == 4


@pytest.mark.parametrize(("stated", "verdict"), [("0.016", "kept"), ("0.02", "kept"), ("0.017", "broken")])
def test_a_claim_may_state_a_formula(stated, verdict):
    rule = Claim(file="a.json", pointer="/kilo", fact="params.total / 1k")
    text = Text(shown="a.json", content=f'{{"kilo": {stated}}}')
    found = judged(rule, replace(FACTS, texts=Texts(files={"a.json": text})))
    assert found.verdict == verdict
    assert (
        found.summary
        == f"a.json says {stated} at /kilo{', and' if verdict == 'broken' else ':'} params.total / 1k is 0.016"
    )


@pytest.mark.parametrize("formula", ["ceil({})", "floor({})", "{}", "exp({})", "sqrt({})", "{} ** 99_999_999"])
def test_a_number_that_cannot_be_shown_is_an_error_in_one_line(formula):
    formula = formula.format("params.total * 1e300 * 1e300")
    found = judged(Score(formula=formula, at_most=1.0))
    assert (found.verdict, found.findings[0].message) == (
        "error", "the formula grows beyond what a 64-bit number holds where params.total is 16"
    )  # fmt: skip
    large = judged(Score(formula="params.total * 1e300", at_most=1.0)).summary
    assert "the score is 1.6e+301, at most 1 is allowed (+1.6e+303 %)" in large
