"""Budgets beside `max-params`: figures worked out by hand, units, what is unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated
from archcheck.foundation.errors import ContractError
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import check, judge, measure
from archcheck.rules import (
    MaxActivations,
    MaxBytes,
    MaxLayerShare,
    MaxMacs,
    MaxParams,
    MaxPeakMemory,
    MaxTrainableParams,
    MinAccuracy,
)
from archcheck.rules.findings import Verdict
from archcheck.testing import rule_of

IMAGE = torch.zeros(1, 1, 8, 8)
BUDGETS = (MaxParams, MaxTrainableParams, MaxBytes, MaxMacs, MaxActivations, MaxPeakMemory)


class Net(nn.Module):
    """A convolution to 2x6x6 (20 parameters, 648 macs) and a linear layer to 3 (219 parameters, 216 macs)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        self.fc = nn.Linear(72, 3)

    def forward(self, x):
        return self.fc(self.body(x).flatten(1))


def outcome(rule, model=None, example=IMAGE):
    return check(model or Net(), example=example, rules=[rule]).outcomes[0]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (MaxMacs(limit=10_000), 648 + 216),
        (MaxMacs(limit=10_000, on="conv"), 648),
        (MaxMacs(limit=10_000, on="Conv2d"), 648),
        (MaxMacs(limit=10_000, on="body.**"), 648),
        (MaxMacs(limit=10_000, on="fc"), 216),
        (MaxActivations(limit=10_000), 72 + 3),
        (MaxActivations(limit=10_000, on="conv"), 72),
        (MaxActivations(limit=10_000, on="Linear"), 3),
        (MaxActivations(limit=10_000, on="body"), 72),
        (MaxBytes(limit=10_000), 4 * (20 + 219)),
        (MaxTrainableParams(limit=10_000), 20 + 219),
        (MaxTrainableParams(limit=10_000, on="linear"), 219),
        (MaxTrainableParams(limit=10_000, on="Conv2d"), 20),
        (MaxTrainableParams(limit=10_000, on="body.*"), 20),
        (MaxPeakMemory(limit=10_000), 4 * (64 + 72 + 72)),
        (MaxPeakMemory(limit=10_000, with_parameters=True), 4 * (64 + 72 + 72) + 4 * (20 + 219)),
    ],
)
def test_the_figure(rule, found):
    kept = outcome(rule)
    assert (kept.verdict, kept.found) == (Verdict.KEPT, found)
    assert outcome(replace(rule, limit=found)).verdict is Verdict.KEPT
    broken = outcome(replace(rule, limit=found - 1))
    assert broken.verdict is Verdict.BROKEN
    assert f"limit {found - 1:,} (+1, " in broken.summary
    assert broken.most


def test_the_largest_come_first():
    lines = outcome(MaxMacs(limit=1)).most
    assert [line.split()[:3] for line in lines] == [["body.0", "Conv2d", "648"], ["fc", "Linear", "216"]]
    assert "test_budgets.py:" in lines[0]


@pytest.mark.parametrize("cls", BUDGETS)
def test_a_limit_below_zero_is_refused(cls):
    with pytest.raises(ValueError, match="`limit` must be at least 0, found -1"):
        cls(limit=-1)


def test_a_peak_is_of_the_whole_and_refuses_on_with_a_reason():
    with pytest.raises(ValueError, match="`on` narrows nothing here: a peak is one moment of the whole pass; `max-ar"):
        MaxPeakMemory(limit=1, on="fc")


@pytest.mark.parametrize("cls", [MaxMacs, MaxActivations, MaxTrainableParams])
def test_a_budget_of_nothing_is_vacuous(cls):
    assert outcome(cls(limit=1, on="nowhere.**")).verdict is Verdict.VACUOUS


def test_the_precision_counts():
    assert outcome(MaxBytes(limit=478), Net().half(), IMAGE.half()).found == 2 * (20 + 219)


@pytest.mark.parametrize(
    ("dtype", "width"),
    [("float64", 8), ("float32", 4), ("bfloat16", 2), ("float8_e4m3fn", 1), ("quint8", 1), ("int4", 1), ("bool", 1)],
)
def test_hidden_weights_count_at_the_precision_of_what_reads_them(dtype, width):
    facts = measure(Hiding(), example=torch.zeros(1, 3))
    facts = replace(facts, ops=tuple(replace(op, dtype=dtype) for op in facts.ops))
    assert MaxBytes(limit=1_000).check(facts).found == (12 + 4) * width


class Hiding(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 4)]

    def forward(self, x):
        return self.layers[0](x)


def test_hidden_weights_have_bytes_too():
    found = outcome(MaxBytes(limit=63), Hiding(), torch.zeros(1, 3))
    assert found.summary == "64 bytes of parameters and buffers, limit 63 (+1, +1.6 %)"
    assert found.notes == ("of them 64 of hidden weights",)


def test_frozen_parameters_are_in_one_budget_and_not_in_the_other():
    model = Net()
    model.body.requires_grad_(False)
    assert outcome(MaxTrainableParams(limit=219), model).verdict is Verdict.KEPT
    assert outcome(MaxParams(limit=219), model).verdict is Verdict.BROKEN


# --- operations of unknown cost -----------------------------------------------------------------------------


def with_unknown_cost(rule):
    facts = measure(Net(), example=IMAGE)
    facts = replace(facts, cost=replace(facts.cost, uncounted=("relu",)))
    return judge(facts, [Stated(rule=rule, instance="it", where=Where(file="a.toml", line=1))])[0]


def test_an_unknown_cost_proves_no_budget():
    found = with_unknown_cost(MaxMacs(limit=10_000))
    assert found.verdict is Verdict.ERROR
    assert found.summary == 'the cost of "relu" is unknown, so the sum may be above the limit'
    assert found.findings[0].fix == 'if they cost nothing that counts, say so: `free = ["relu"]`'
    assert with_unknown_cost(MaxLayerShare(limit=0.9, of="macs")).verdict is Verdict.ERROR


def test_an_unknown_cost_that_does_not_matter():
    assert with_unknown_cost(MaxMacs(limit=1)).verdict is Verdict.BROKEN
    assert with_unknown_cost(MaxMacs(limit=10_000, free=("relu",))).verdict is Verdict.KEPT
    assert with_unknown_cost(MaxMacs(limit=10_000, on="fc")).verdict is Verdict.KEPT
    assert with_unknown_cost(MaxLayerShare(limit=0.95)).verdict is Verdict.KEPT


# --- shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "summary"),
    [
        (MaxLayerShare(limit=0.9), "`fc` (Linear) holds 91.6 % of the parameters (219 of 239), limit 90 %"),
        (MaxLayerShare(limit=0.05, on="body.**"), "`body.0` (Conv2d) holds 8.37 % of the parameters (20 of 239), "
         "limit 5 %"),
        (MaxLayerShare(limit=0.05, on="Conv2d"), None),
        (MaxLayerShare(limit=0.7, of="macs"), "`body.0` (Conv2d) holds 75 % of the multiply-accumulates (648 of 864), "
         "limit 70 %"),
    ],
)  # fmt: skip
def test_a_layer_beyond_its_share(rule, summary):
    found = outcome(rule)
    assert found.verdict is Verdict.BROKEN
    assert summary in (None, found.summary)
    assert found.findings[0].where.file.endswith("test_budgets.py")


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (MaxLayerShare(limit=0.92), Verdict.KEPT),
        (MaxLayerShare(limit=0.75, of="macs"), Verdict.KEPT),
        (MaxLayerShare(limit=0.1, on="body.**"), Verdict.KEPT),
        (MaxLayerShare(limit=0.5, on="linear"), Verdict.BROKEN),
        (MaxLayerShare(limit=0.1, on="relu"), Verdict.VACUOUS),
    ],
)
def test_a_share_within_its_limit(rule, verdict):
    assert outcome(rule).verdict is verdict


@pytest.mark.parametrize("limit", [0, 1, 1.5, -0.1])
def test_a_limit_that_is_no_share(limit):
    with pytest.raises(ValueError, match="is a share between 0 and 1"):
        MaxLayerShare(limit=limit)


# --- units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "cls", "limit"),
    [
        ('max-params = "20k"', MaxParams, 20_000),
        ('max-trainable-params = { limit = "1.33M", on = "fc" }', MaxTrainableParams, 1_330_000),
        ('max-macs = "2.5 G"', MaxMacs, 2_500_000_000),
        ('max-activations = "5M"', MaxActivations, 5_000_000),
        ('max-bytes = "1.5 MB"', MaxBytes, 1_500_000),
        ('max-peak-memory = "256 KiB"', MaxPeakMemory, 262_144),
        ('max-layer-share = "50 %"', MaxLayerShare, 0.5),
        ('min-accuracy = "99.4 %"', MinAccuracy, 0.994),
    ],
)
def test_a_bound_in_human_units(line, cls, limit):
    assert rule_of(line, cls).limit == limit


@pytest.mark.parametrize(
    ("line", "cls", "says"),
    [
        ('max-params = "20 KiB"', MaxParams, '"KiB" is for bytes, and this counts parameters'),
        ('max-bytes = "20k"', MaxBytes, 'did you mean "kB" or "KiB"?'),
        ('max-macs = "1.3337k"', MaxMacs, "1,333.7 macs; write 1_333 or 1_334"),
        ('max-layer-share = "half"', MaxLayerShare, 'must be a number or text such as "50 %"'),
    ],
)
def test_a_bound_that_is_none(line, cls, says):
    with pytest.raises(ContractError, match="example:1: ") as caught:
        rule_of(line, cls)
    (problem,) = caught.value.problems
    assert says in problem.message


def test_a_verdict_prints_the_exact_integer():
    assert outcome(rule_of('max-params = "20k"', MaxParams)).summary == "239 parameters, limit 20,000"


def test_one_too_many_is_one_parameter():
    (finding,) = outcome(MaxParams(limit=238)).findings
    assert finding.fix == "remove 1 parameter, or raise max-params"
    (finding,) = outcome(MaxBytes(limit=4 * 239 - 1)).findings
    assert finding.fix == "remove 1 byte of parameters and buffers, or raise max-bytes"


def test_a_tiny_excess_is_no_excess_of_nothing():
    (outcome,) = check(nn.Linear(100, 100), example=torch.zeros(1, 100), rules=[MaxParams(limit=10_099)]).outcomes
    assert outcome.summary == "10,100 parameters, limit 10,099 (+1, below 0.1 %)"
