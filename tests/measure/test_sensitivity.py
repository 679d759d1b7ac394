"""When numbers changed completely: also with gaps, complex ones, and few elements."""

from __future__ import annotations

import pytest
import torch

from archcheck.measure.structure.sensitivity import changes_completely, changes_in_many_places

ONE, OTHER = torch.randn(2, 400, generator=torch.Generator().manual_seed(0))
GAP = torch.where(torch.arange(400) < 3, torch.nan, 0.0)


@pytest.mark.parametrize("change", [lambda each: each, lambda each: each + GAP, lambda each: each * (0 + 1j)])
def test_other_draws_changed_completely_and_small_moves_did_not(change):
    for apart in (changes_completely, changes_in_many_places):
        assert apart(change(ONE), change(OTHER))
        assert not apart(change(ONE), change(ONE * 1.0001))


def test_a_few_digits_among_numbers_that_stay_are_taken_apart():
    mixed = torch.where(torch.arange(400) < 100, OTHER, ONE)
    assert changes_in_many_places(ONE, mixed)
    assert not changes_in_many_places(ONE, torch.where(torch.arange(400) < 40, OTHER, ONE))


def test_a_single_number_never_changes_completely():
    assert not changes_completely(torch.tensor([1.0]), torch.tensor([9.0]))
    assert not changes_in_many_places(torch.tensor([1.0]), torch.tensor([9.0]))
