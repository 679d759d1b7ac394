"""The examples in the rules' documentation are executed, and say what they claim to say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.judging.rule_pages import examples
from archcheck.rules import BUILTIN
from archcheck.rules.base import Rule, rule_name
from archcheck.testing import verify_examples

WITHOUT_EXAMPLES = (
    "min-accuracy",
    "record-matches-model",
    "augmentation-reaches-the-batch",
    "held-out-test-is-disjoint",
)
"""Rules that judge a training run or its record, which no example of a few lines has."""


@pytest.mark.parametrize("rule", [rule for rule in BUILTIN if rule_name(rule) not in WITHOUT_EXAMPLES], ids=rule_name)
def test_the_examples_of_a_rule_hold(rule: type[Rule]):
    verify_examples(rule, torch=torch, nn=nn, F=F)


@pytest.mark.parametrize("rule", [rule for rule in BUILTIN if rule_name(rule) not in WITHOUT_EXAMPLES], ids=rule_name)
def test_every_rule_has_a_kept_and_a_broken_example(rule: type[Rule]):
    assert {"kept", "broken"} <= {example.verdict for example in examples(rule)}
