"""Decisions: their bounds, the number of seeds that they need, and their error rates."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from archcheck.foundation.statistics.confidence_intervals import Sample
from archcheck.foundation.statistics.sequential_decisions import Answer, decide_mean, decide_median
from tests.benchmarks.decisions import PROCEDURES, excess, simulate

BY_NAME = {procedure.name: procedure for procedure in PROCEDURES}
REPLICATIONS = 1_000
LIMIT = Fraction(994, 1000)


@pytest.mark.parametrize("spread", ["normal", "binomial"])
@pytest.mark.parametrize("offset", [-0.02, 0.0, 0.02])
@pytest.mark.parametrize("name", ["fixed 3", "fixed 5", "fixed 10", "until decided, 20", "fixed 5, then on"])
def test_errors_are_as_rare_as_stated(name, offset, spread):
    procedure = BY_NAME[name]
    rates = simulate(procedure, offset, REPLICATIONS, spread)
    assert excess(procedure, offset, rates, REPLICATIONS, spread) == ""
    assert rates.kept + rates.broken + rates.undecided == pytest.approx(1)


@pytest.mark.parametrize("offset", [-0.005, 0.0, 0.005])
def test_fixed_bounds_tested_after_each_seed_err_far_more_often(offset):
    naive = replace(BY_NAME["naive"], error=0.05)
    rates = simulate(naive, offset, REPLICATIONS)
    assert "TOO OFTEN" in excess(naive, offset, rates, REPLICATIONS)


@pytest.mark.parametrize(("offset", "answer"), [(-0.126, "broken"), (0.126, "kept")])
def test_the_gap_of_the_reference_model_needs_few_seeds(offset, answer):
    rates = simulate(BY_NAME["until decided, 20"], offset, 300)
    assert getattr(rates, answer) > 0.99
    assert rates.mean_seeds < 8


@pytest.mark.parametrize("gap", [2, 3, 6])
def test_the_estimated_number_of_seeds_decides_if_the_sample_stays_the_same(gap):
    """Alternating counts keep their mean, and their deviation shrinks by 3 % towards 5: few seeds less suffice."""
    counts = (9940 + gap - 5, 9940 + gap + 5)
    asked = decide_mean(Sample(counts * 10, 10_000), LIMIT, 0.95, anytime=True).seeds
    if gap == 6:
        assert asked is None  # twenty told it
        return
    assert asked is not None
    fewer, enough = (Sample(counts * (size // 2), 10_000) for size in (asked * 4 // 5, asked + 1))
    assert decide_mean(fewer, LIMIT, 0.95, anytime=True).answer is Answer.UNDECIDED
    assert decide_mean(enough, LIMIT, 0.95, anytime=True).answer is Answer.KEPT


@pytest.mark.parametrize(("gap", "hopeless"), [(0, True), (1, True), (40, False)])
def test_more_than_a_thousand_seeds_are_not_estimated(gap, hopeless):
    sample = Sample((9940 + gap - 100, 9940 + gap + 100), 10_000)
    assert (decide_mean(sample, LIMIT, 0.95, anytime=True).seeds is None) == hopeless


def test_the_answers_of_a_median():
    assert decide_median((1, 2, 3, 4, 5), 5, 0.95).answer is Answer.KEPT
    assert decide_median((1, 2, 3, 4, 5), 4, 0.95).answer is Answer.UNDECIDED
    assert decide_median((6, 7, 8, 9, math.inf), 5, 0.95).answer is Answer.BROKEN
    assert decide_median((math.inf,) * 5, 5, 0.95).bounds == (math.inf, math.inf)
    assert decide_median((1,) * 4, 5, 0.95).bounds is None


def test_the_estimated_number_of_seeds_for_a_median_follows_from_the_share():
    assert decide_median((1,), 5, 0.95).seeds == 7
    assert decide_median((1, 9), 5, 0.95).seeds is None
    assert decide_median((1, 1, 1, 9), 5, 0.95, anytime=True).seeds in range(10, 40)
