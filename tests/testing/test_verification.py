"""The helpers for hand-written tests and for authors of rules."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from archcheck import BrokenContract, ContractError, check, rules
from archcheck.facts.facts import Facts
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result, Verdict
from archcheck.testing import check_file, examples, facts_of, judge_example, rule_of, verify_examples

NAMES = {"torch": torch, "nn": nn, "F": nn.functional}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxWidth(Rule):
    """No layer puts out more than `limit` features.

    Example, kept:
        rule = max-width = 4
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = max-width = { limit = 3 }
        model =
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 4)

            def forward(self, x):
                return self.fc(x)
        input = [1, 3]
        says = 4 features

    Example, broken:
        rule = max-width = 1
        model = nn.Linear(3, 1)
        forward = lambda model, x: torch.cat([x, x], 1)
        input = [1, 3]
        says = 6 features
    """

    limit: int

    def check(self, facts: Facts) -> Result:
        width = max(tensor.shape[-1] for tensor in facts.shape.outputs)
        findings = (Finding(message=f"{width} features"),) if width > self.limit else ()
        return Result(examined=1, findings=findings)


def test_the_examples_of_a_rule_are_verified():
    verify_examples(MaxWidth, **NAMES)


def test_an_example_that_promises_another_verdict_fails():
    class Wrong(MaxWidth):
        """No layer is wide.

        Example, kept:
            rule = wrong = 3
            model = nn.Linear(3, 4)
            input = [1, 3]
        """

    with pytest.raises(AssertionError, match="broken wrong: 4 features"):
        verify_examples(Wrong, **NAMES)


def test_an_example_that_says_something_else_fails():
    class Wrong(MaxWidth):
        """No layer is wide.

        Example, broken:
            rule = wrong = 3
            model = nn.Linear(3, 4)
            input = [1, 3]
            says = 5 features
        """

    with pytest.raises(AssertionError, match="4 features"):
        verify_examples(Wrong, **NAMES)


def test_a_rule_without_examples_is_not_verified():
    class Silent(MaxWidth):
        """No layer is wide."""

    with pytest.raises(AssertionError, match="silent has no examples"):
        verify_examples(Silent, **NAMES)


def test_an_example_becomes_an_outcome():
    outcome = judge_example(MaxWidth, examples(MaxWidth)[0], **NAMES)
    assert outcome.verdict is Verdict.KEPT


def test_a_line_becomes_a_rule_or_all_its_mistakes():
    assert rule_of("max-width = 4", MaxWidth) == MaxWidth(limit=4)
    with pytest.raises(ContractError, match=r"example:1: .*integer"):
        rule_of('max-width = "wide"', MaxWidth)


def test_facts_and_verdicts_in_this_process():
    facts = facts_of(nn.Linear(3, 4), example=torch.rand(1, 3))
    assert facts.params.total == 16
    report = check(nn.Linear(3, 4), example=torch.rand(1, 3), rules=[rules.MaxParams(limit=15)])
    with pytest.raises(BrokenContract, match="16 parameters, limit 15"):
        report.verify()


def test_a_contract_file_is_judged(project):
    (report,) = check_file(project / "pyproject.toml", "good")
    assert report.exit_code == 0
