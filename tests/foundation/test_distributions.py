"""Distributions against closed forms, exact sums and printed tables."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archcheck.foundation.statistics.distributions import (
    beta_cdf,
    beta_quantile,
    fair_tail,
    student_cdf,
    student_quantile,
)

SHARES = st.floats(0.001, 0.999)
SHAPES = st.floats(0.5, 200)
FREEDOMS = st.integers(1, 1000)

TABLE = {
    1: (3.078, 6.314, 12.706, 31.821, 63.657),
    2: (1.886, 2.920, 4.303, 6.965, 9.925),
    3: (1.638, 2.353, 3.182, 4.541, 5.841),
    4: (1.533, 2.132, 2.776, 3.747, 4.604),
    9: (1.383, 1.833, 2.262, 2.821, 3.250),
    19: (1.328, 1.729, 2.093, 2.539, 2.861),
    30: (1.310, 1.697, 2.042, 2.457, 2.750),
    100: (1.290, 1.660, 1.984, 2.364, 2.626),
}
"""Upper critical values of Student's t at 90, 95, 97.5, 99 and 99.5 %: NIST/SEMATECH e-Handbook, 1.3.6.7.2."""


@pytest.mark.parametrize("freedom", TABLE)
def test_quantiles_of_student_are_those_of_the_table(freedom):
    found = tuple(round(student_quantile(share, freedom), 3) for share in (0.9, 0.95, 0.975, 0.99, 0.995))
    assert found == TABLE[freedom]


@given(st.floats(-1e3, 1e3))
@example(1e-4)
@example(-1e-9)
def test_student_with_one_and_two_degrees_of_freedom_has_a_closed_form(t):
    assert student_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-13)
    assert student_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-13)


@given(SHARES, st.integers(1, 60), st.data())
def test_the_incomplete_beta_function_is_a_tail_of_the_binomial(share, tosses, data):
    least = data.draw(st.integers(1, tosses))
    exact = Fraction(share)
    tail = sum(math.comb(tosses, k) * exact**k * (1 - exact) ** (tosses - k) for k in range(least, tosses + 1))
    assert beta_cdf(share, least, tosses - least + 1) == pytest.approx(float(tail), rel=1e-11, abs=1e-300)


def test_the_ends_of_the_incomplete_beta_function():
    assert (beta_cdf(0.0, 2, 3), beta_cdf(1.0, 2, 3)) == (0.0, 1.0)
    assert beta_cdf(0.5, 2, 3) == pytest.approx(11 / 16)


@given(SHARES, SHAPES, SHAPES)
def test_the_quantile_of_beta_inverts_its_distribution(share, a, b):
    assert beta_cdf(beta_quantile(share, a, b), a, b) == pytest.approx(share, abs=1e-9)


@given(SHARES, FREEDOMS)
def test_the_quantile_of_student_inverts_its_distribution_and_is_symmetric(share, freedom):
    t = student_quantile(share, freedom)
    assert student_cdf(t, freedom) == pytest.approx(share, abs=1e-11)
    assert student_quantile(1 - share, freedom) == pytest.approx(-t, rel=1e-8, abs=1e-12)


@given(SHARES, SHARES, FREEDOMS)
def test_distributions_and_quantiles_rise(first, second, freedom):
    low, high = sorted((first, second))
    assert student_quantile(low, freedom) <= student_quantile(high, freedom)
    assert student_cdf(100 * low - 50, freedom) <= student_cdf(100 * high - 50, freedom) + 1e-15
    assert beta_cdf(low, freedom, 2.5) <= beta_cdf(high, freedom, 2.5) + 1e-15


@given(st.integers(0, 80), st.integers(-2, 82))
def test_tails_of_a_fair_coin_match_exact_counts(tosses, heads):
    outcomes = sum(math.comb(tosses, k) for k in range(max(heads, 0), tosses + 1))
    assert fair_tail(tosses, heads) == pytest.approx(outcomes / 2**tosses, rel=1e-11)
