"""`min-accuracy`: what a record must hold for its figures to prove anything."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated
from archcheck.engine import judge, measure
from archcheck.findings import Verdict
from archcheck.parts import Training
from archcheck.rules import MinAccuracy
from archcheck.where import Where

FACTS = measure(nn.Linear(2, 2), example=torch.zeros(1, 2))
RULE = Stated(
    rule=MinAccuracy(limit=0.9, within_epochs=3, seeds=2), instance="min-accuracy", where=Where(file="a.toml", line=1)
)


def run(seed, **changes):
    whole = {"seed": seed, "epochs": [{"epoch": 1}], "selected": "last", "test": {"correct": 95, "total": 100}}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def outcome(*runs):
    record = {"schema": 1, "runs": list(runs), "checkpoint": {"seed": 0}}
    training = Training(record_file="record.json", record=record, mismatches=(), correct=95, total=100)
    return judge(replace(FACTS, training=training), [RULE])[0]


@pytest.mark.parametrize("changes", [{}, {"selected": None}, {"test": {"correct": 90, "total": 100}}])
def test_a_whole_record_proves_its_mean(changes):
    assert outcome(run(0), run(1, **changes)).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": None}, "seed 1 records no epochs"),
        ({"epochs": []}, "seed 1 records no epochs"),
        ({"epochs": 3}, "seed 1 records no epochs"),
        ({"epochs": [{}] * 4}, "seed 1 trained 4 epochs, 3 are allowed"),
        ({"selected": "best"}, 'seed 1 has a result chosen by "best", not that of the last epoch'),
        ({"selected": 7}, 'chosen by "7"'),
        ({"test": {"correct": 50, "total": 50}}, "test sets of different sizes: 50 and 100"),
        ({"test": {"correct": 101, "total": 100}}, "seed 1 has no result on the test set"),
        ({"test": {"correct": "95", "total": 100}}, "seed 1 has no result on the test set"),
        ({"test": None}, "seed 1 has no result on the test set"),
    ],
)
def test_a_record_that_lacks_something_breaks_the_rule(changes, says):
    found = outcome(run(0), run(1, **changes))
    assert found.verdict is Verdict.BROKEN
    assert says in found.summary
