"""Bounds of means and medians: independent computations of their formulas, and how often they hold."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcheck.foundation.statistics.confidence_intervals import (
    Sample,
    critical,
    log_evidence,
    mean_bounds,
    median_rank,
    share_interval,
)
from archcheck.foundation.statistics.distributions import student_cdf

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=30)


@given(COUNTS)
def test_a_sample_has_the_mean_and_deviation_of_its_shares(counts):
    sample = Sample(counts, 1000)
    assert sample.mean == Fraction(sum(counts), 1000 * len(counts))
    expected = statistics.stdev(counts) / 1000
    assert sample.deviation == pytest.approx(max(expected, 0.0005))


@given(COUNTS, st.floats(0.6, 0.999), st.booleans())
def test_bounds_lie_around_the_mean_and_widen_with_the_confidence(counts, confidence, anytime):
    sample = Sample(counts, 1000)
    low, high = mean_bounds(sample, confidence, anytime=anytime)
    assert 0 <= low <= sample.mean <= high <= 1
    wider = mean_bounds(sample, (1 + confidence) / 2, anytime=anytime)
    assert wider[0] <= low
    assert wider[1] >= high


@given(COUNTS, st.floats(0.6, 0.999))
def test_anytime_bounds_are_wider_than_fixed_ones(counts, confidence):
    sample = Sample(counts, 1000)
    fixed, anytime = (mean_bounds(sample, confidence, anytime=looks) for looks in (False, True))
    assert anytime[0] <= fixed[0]
    assert anytime[1] >= fixed[1]


def test_bounds_narrow_with_more_seeds():
    for anytime in (False, True):
        off = [critical(size, 0.95, anytime=anytime) / math.sqrt(size) for size in (4, 5, 6, 10, 30, 100, 1000)]
        assert off == sorted(off, reverse=True)


def test_too_few_seeds_give_no_bounds():
    assert math.isinf(critical(1, 0.95, anytime=False))
    assert [math.isinf(critical(size, 0.95, anytime=True)) for size in (1, 2, 3, 4)] == [True, True, True, False]
    assert mean_bounds(Sample((990,), 1000), 0.95) == (0.0, 1.0)


@pytest.mark.parametrize("size", [2, 3, 5, 10, 40])
def test_evidence_against_the_true_mean_is_one_on_average(size):
    """The mean of a martingale that starts at 1, over Student's t: summed over narrow steps of its distribution.

    Large statistics weigh much and are rare, so their probabilities are taken from the tail that tells them from zero.
    """
    grid = [math.sinh(step / 100) for step in range(-1500, 1501)]
    tails = [student_cdf(-t, size - 1) for t in grid]
    steps = zip(grid, grid[1:], tails, tails[1:], strict=False)
    total = sum((more - less) * math.exp(log_evidence((left + right) / 2, size)) for left, right, more, less in steps)
    assert total == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("values", [(0.3, 1.1, 0.9), (-0.2, 0.4), (1.0, 1.2, 0.8, 1.1, -0.4)])
def test_evidence_is_the_likelihood_ratio_that_it_says(values):
    """Integrated by brute force over the gap, half-normal, and the deviation, by its scale-invariant measure."""
    x, size = np.array(values), len(values)
    gaps = np.linspace(0, 8, 801)
    deviations = np.exp(np.linspace(-5, 5, 2001))
    squares = ((x[:, None, None] - gaps[None, :, None] * deviations) ** 2).sum(0)
    likelihoods = (deviations**-size * np.exp(-squares / (2 * deviations**2))).sum(1)
    weights = np.exp(-(gaps**2) / 2)
    weights[0] /= 2
    ratio = (weights * likelihoods).sum() / weights.sum() / likelihoods[0]
    t = math.sqrt(size) * x.mean() / x.std(ddof=1)
    assert log_evidence(t, size) == pytest.approx(math.log(ratio), abs=1e-4)


@given(st.integers(2, 60), st.floats(-20, 20), st.floats(0, 5))
def test_evidence_rises_with_the_statistic(size, t, more):
    assert log_evidence(t, size) <= log_evidence(t + more, size) + 1e-12


@pytest.mark.parametrize("size", [3, 5, 10])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_bound_of_the_mean_holds_as_often_as_it_says(size, confidence):
    """20,000 samples of normal accuracies, fixed: five standard errors are less than 1.5 points."""
    counts = np.random.default_rng(1).normal(50_000, 600, (20_000, size)).round().astype(int).tolist()
    below = sum(mean_bounds(Sample(row, 100_000), confidence)[0] <= 0.5 for row in counts)
    above = sum(mean_bounds(Sample(row, 100_000), confidence)[1] >= 0.5 for row in counts)
    assert below / 20_000 == pytest.approx(confidence, abs=0.015)
    assert above / 20_000 == pytest.approx(confidence, abs=0.015)


def test_ranks_of_the_median_are_those_of_the_sign_test():
    """From tables of the sign test, one-sided 5 %: the largest count of the rarer sign."""
    rarest = {5: 0, 8: 1, 10: 1, 13: 3, 15: 3, 20: 5, 25: 7}
    assert {size: size - (median_rank(size, 0.95) or 0) for size in rarest} == rarest
    assert [median_rank(size, 0.95) for size in range(1, 5)] == [None] * 4


@pytest.mark.parametrize("anytime", [False, True])
def test_a_bound_of_the_median_holds_for_ties_and_values_that_are_never_reached(anytime):
    """Of every distribution on three values with the middle one as a median, the worst errs in 5 % at most: exactly."""
    for size in (5, 7, 9, 12):
        rank = median_rank(size, 0.95, anytime=anytime)
        if rank is None:
            continue
        for below in (0.5, 0.4, 0.1, 0.0):
            wrong = sum(math.comb(size, k) * below**k * (1 - below) ** (size - k) for k in range(rank, size + 1))
            assert wrong <= 0.05


def test_an_anytime_median_is_bounded_by_seven_seeds_at_least():
    """All seven on one side: 2 ** 8 / 8 * (1 - 2 ** -8) = 31.9 against 20; of six it is 18.1."""
    assert [median_rank(size, 0.95, anytime=True) for size in (5, 6, 7, 8)] == [None, None, 7, 8]


def test_anytime_bounds_of_the_median_rarely_err_when_tested_after_each_seed():
    """Fair coins, tested after each of 200 tosses: at most 5 % of 2,000 series ever have a wrong bound."""
    ranks = [median_rank(size, 0.95, anytime=True) or size + 1 for size in range(1, 201)]
    fixed = [median_rank(size, 0.95) or size + 1 for size in range(1, 201)]
    heads = np.random.default_rng(2).integers(0, 2, (2_000, 200)).cumsum(1)
    assert (heads >= ranks).any(1).mean() <= 0.05
    assert (heads >= fixed).any(1).mean() > 0.15


@pytest.mark.parametrize(
    ("correct", "total", "interval"),
    [(81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617)), (0, 20, (0.0, 0.1684)), (1, 29, (0.0009, 0.1776))],
)
def test_intervals_of_shares_are_the_printed_ones(correct, total, interval):
    """Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998), table I."""
    assert tuple(round(bound, 4) for bound in share_interval(correct, total, 0.95)) == interval


@given(st.integers(1, 300), st.data())
def test_intervals_of_shares_mirror_one_another(total, data):
    correct = data.draw(st.integers(0, total))
    low, high = share_interval(correct, total, 0.9)
    assert low <= correct / total <= high
    assert share_interval(total - correct, total, 0.9) == pytest.approx((1 - high, 1 - low), abs=1e-9)
