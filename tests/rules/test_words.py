"""Words that point at operations are checked where a rule is made, in Python as in a contract."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from archcheck.foundation.errors import ContractError
from archcheck.rules import FollowedBy, Forbids, Head, Requires, RequiresAny
from archcheck.rules.base import Rule
from archcheck.testing import rule_of


@pytest.mark.parametrize("cls", [Requires, RequiresAny, Forbids, Head])
def test_no_kinds_at_all_are_refused(cls):
    with pytest.raises(ValueError, match="`kinds` is empty: the rule would look at nothing"):
        cls(kinds=())


@pytest.mark.parametrize("cls", [Requires, RequiresAny, Forbids, Head])
def test_a_misspelt_kind_is_refused(cls):
    with pytest.raises(ValueError, match='"linaer" is not a kind; did you mean "linear"'):
        cls(kinds=("conv", "linaer"))


def test_a_word_alone_is_one_word():
    assert Forbids(kinds="linear").kinds == ("linear",)


@pytest.mark.parametrize("values", [{"layer": "cnov", "by": "batch_norm"}, {"layer": "conv", "by": "bn"}])
def test_a_field_of_one_word_is_checked(values):
    with pytest.raises(ValueError, match="is not a kind; did you mean"):
        FollowedBy(**values)


def test_paths_types_and_lists_are_words():
    assert Requires(kinds=("Conv2d", "features.**", "norm")).kinds == ("Conv2d", "features.**", "norm")
    assert Requires(kinds=["conv"]).kinds == ("conv",)


def test_a_contract_says_it_once():
    with pytest.raises(ContractError) as caught:
        rule_of('forbids = ["linaer"]', Forbids)
    (problem,) = caught.value.problems
    assert problem.message == '"linaer" is not a kind; did you mean "linear"?'


def test_an_empty_table_of_a_contract_is_refused():
    with pytest.raises(ContractError, match='"forbids": `kinds` is empty'):
        rule_of("forbids = { kinds = [] }", Forbids)


def test_a_rule_of_ones_own_is_checked_too():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Loves(Rule):
        kinds: tuple[str, ...] = field(metadata={"kinds": True})

    with pytest.raises(ValueError, match="is not a kind"):
        Loves(kinds=("linaer",))
