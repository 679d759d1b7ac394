"""`log-probabilities`: what the values of the output are, and what is said of values that are no numbers."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from torch import nn

from archcheck.engine import check
from archcheck.errors import SubjectError
from archcheck.findings import Report, Verdict
from archcheck.measure import behave
from archcheck.measure.example import Example
from archcheck.rules import LogProbabilities

IMAGE = torch.ones(2, 3)


class Output(nn.Module):
    """A model whose output is what `make` makes of a linear layer's."""

    def __init__(self, make):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.make = make

    def forward(self, x):
        return self.make(self.linear(x).log_softmax(1))


def report(make, example=IMAGE) -> Report:
    return check(make if isinstance(make, nn.Module) else Output(make), example=example, rules=[LogProbabilities()])


def test_log_probabilities_are_kept():
    found = report(lambda x: x)
    assert found.outcomes[0].verdict is Verdict.KEPT
    assert found.facts.behaviour["log-probabilities"].keys() == {"finite", "sum_error", "shape"}


def test_the_logarithm_of_zero_is_a_log_probability():
    one = torch.tensor([[0.0, -math.inf, -math.inf, -math.inf]])
    assert report(lambda x: torch.where(x > 0, x, one)).outcomes[0].verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x: x * math.nan, "it holds NaN or infinity"),
        (lambda x: x + math.inf, "it holds NaN or infinity"),
        (lambda x: torch.cat([x[:1], x[1:] * math.nan]), "it holds NaN or infinity"),
        (lambda x: x * 0 + 1e6, "the sums of exponentials along axis 1 are beyond all numbers"),
        (lambda x: x.exp(), "exponentials along axis 1 sum to one within"),
        (lambda x: x[0].exp(), "exponentials along axis 0 sum to one within"),
    ],
)
def test_anything_else_is_broken_and_stays_json(make, says):
    found = report(make)
    assert found.outcomes[0].verdict is Verdict.BROKEN
    assert found.outcomes[0].summary.startswith("the output is no log-probabilities: ")
    assert says in found.outcomes[0].summary
    json.dumps(found.to_json(), allow_nan=False)


class Sensitive(nn.Module):
    """Log-probabilities for small inputs only."""

    def forward(self, x):
        normal = x.log_softmax(1)
        return torch.where(x.abs().max() > 5, normal * math.nan, normal)


@pytest.mark.parametrize("example", [IMAGE, (IMAGE,), {"x": IMAGE}], ids=["tensor", "tuple", "keywords"])
def test_ten_times_the_input_is_tried_too_by_position_and_by_keyword(example):
    assert report(Sensitive(), example).outcomes[0].verdict is Verdict.BROKEN


def test_integers_are_not_multiplied():
    model = nn.Sequential(nn.Embedding(4, 5), nn.Flatten(), nn.LogSoftmax(1))
    assert report(model, torch.tensor([[3, 1]])).outcomes[0].verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("forward", "says"),
    [
        (lambda x: {}, "returned no tensor"),
        (lambda x: x[:0], "returned an empty tensor (0x3)"),
        (lambda x: 1 / 0, "failed on real numbers: ZeroDivisionError: division by zero"),
    ],
)
def test_an_output_without_values_is_no_crash(forward, says):
    with pytest.raises(SubjectError, match=re.escape(says)) as caught:
        behave.run("log-probabilities", forward, Example((IMAGE,), {}))
    assert caught.value.kind == "forward"
