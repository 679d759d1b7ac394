"""Welch's comparison: published examples, its errors in simulations, and laws."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcheck.foundation.statistics.two_samples import welch

FIRST = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
SECOND = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
"""Two samples whose statistic is published as t = -2.46 with 25.0 degrees of freedom and p = 0.021, two-sided."""

samples = st.lists(st.floats(-100, 100).map(lambda value: round(value, 3)), min_size=2, max_size=8)


def test_a_published_example_comes_out():
    found = welch(FIRST, SECOND)
    assert found.gap / found.error == pytest.approx(-2.46, abs=0.005)
    assert found.freedom == pytest.approx(25.0, abs=0.05)
    assert 2 * (1 - found.p_value(0)) == pytest.approx(0.021, abs=0.0005)


@pytest.mark.parametrize(("ours", "theirs", "spread"), [(2, 2, 1.0), (3, 3, 3.0), (5, 5, 0.2), (3, 8, 1.0)])
def test_few_of_the_entries_at_the_margin_are_taken_for_better(ours, theirs, spread):
    draws, experiments = random.Random(7), 4_000
    accepted = sum(
        welch([draws.gauss(0.5, spread) for _ in range(ours)], [draws.gauss(0, 1) for _ in range(theirs)]).p_value(0.5)
        <= 0.05
        for _ in range(experiments)
    )
    assert accepted / experiments < 0.065


def test_most_of_the_entries_that_are_clearly_better_are_told():
    draws = random.Random(3)
    told = sum(
        welch([draws.gauss(4, 1) for _ in range(5)], [draws.gauss(0, 1) for _ in range(5)]).p_value(0.5) <= 0.01
        for _ in range(500)
    )
    assert told > 450


@given(samples, samples, st.floats(0, 10))
def test_order_and_side_do_not_matter_and_a_larger_margin_is_harder(ours, theirs, margin):
    found, turned = welch(ours, theirs), welch(theirs[::-1], ours[::-1])
    assert found.gap == pytest.approx(-turned.gap)
    assert found.p_value(margin + 1) >= found.p_value(margin)
    if found.error:
        assert found.p_value(0) + turned.p_value(0) == pytest.approx(1)
        assert found.p_value(found.lower_bound(0.05)) == pytest.approx(0.05)


def test_equal_values_have_the_least_spread_that_is_believed():
    assert welch([1.0, 1.0], [0.0, 0.0]).p_value(0.5) == 0
    assert welch([1.0, 1.0], [0.0, 0.0]).p_value(1.0) == 1
    assert welch([1.0, 1.0], [0.0, 0.0], least_spread=1.0).p_value(0.5) > 0.3


def test_one_value_has_no_spread():
    with pytest.raises(ValueError, match="at least two values"):
        welch([1.0], [1.0, 2.0])
