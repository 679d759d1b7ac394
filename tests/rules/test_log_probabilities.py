"""`log-probabilities`: what the values of the output are, and what is said of values that are no numbers."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.foundation.errors import NotMeasured
from archcheck.judging.engine import check, measure
from archcheck.measure.behaviour.probe_context import ProbeContext
from archcheck.measure.behaviour.probes import run_probe
from archcheck.measure.loading.example import Example
from archcheck.measure.passes.forward import Passes
from archcheck.rules import LogProbabilities
from archcheck.rules.findings import Report, Verdict

IMAGE = torch.ones(2, 3)
TOKENS = torch.tensor([[3, 1, 6]])


def context_of(model):
    """Return the context of probes of a model that cannot be measured, so that it has no trace."""
    return ProbeContext(passes=Passes(model), example=Example((IMAGE,), {}), trace=None, root=".")


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
    assert found.facts.behaviour["log-probabilities"].keys() == {"finite", "sum_error", "shape", "axis", "others"}


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
    assert found.outcomes[0].summary.startswith("the output is not log-probabilities: ")
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
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_output_without_values_is_an_error(forward, says):
    model = nn.Identity()
    model.forward = forward
    assert says in run_probe("log-probabilities", context_of(model))["problem"]
    facts = replace(measure(nn.Identity(), example=IMAGE), behaviour={"log-probabilities": {"problem": says}})
    with pytest.raises(NotMeasured, match=re.escape(says)):
        LogProbabilities().check(facts)


class Fails(nn.Module):
    """Raises an error whatever it is given."""

    def forward(self, x):
        return x / (1 // 0)


def test_a_pass_that_fails_names_the_layer_and_the_line():
    net = nn.Sequential(nn.Identity(), Fails())
    problem = run_probe("log-probabilities", context_of(net))["problem"]
    line = Fails.forward.__code__.co_firstlineno + 1
    where = f"in `1` (Fails) at test_log_probabilities.py:{line}"
    assert problem.startswith(f"the forward pass failed on real numbers {where}: ZeroDivisionError: ")


def test_classes_may_be_along_another_axis():
    model = nn.Sequential(nn.Embedding(7, 5), nn.LogSoftmax(-1))
    for axis, verdict in ((-1, Verdict.KEPT), (2, Verdict.KEPT), (1, Verdict.BROKEN), (None, Verdict.BROKEN)):
        outcome = check(model, example=TOKENS, rules=[LogProbabilities(axis=axis)]).outcomes[0]
        assert outcome.verdict is verdict
        if verdict is Verdict.BROKEN:
            assert outcome.findings[0].fix == "they do along axis 2: name it, as in `axis = 2`"


def test_an_axis_that_is_not_there_is_an_error():
    outcome = check(nn.LogSoftmax(1), example=IMAGE, rules=[LogProbabilities(axis=2)]).outcomes[0]
    assert outcome.headline == "error log-probabilities: the first output has shape 2x3, and no axis 2"
