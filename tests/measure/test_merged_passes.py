"""One graph of several passes."""

from __future__ import annotations

import pytest

from archcheck.facts.records import Op
from archcheck.measure.structure.merged_passes import merged


def passes(*orders: str) -> list[list[Op]]:
    """Return one pass per order, which runs its layers in turn; `a` reaches an output, `A` does not."""
    return [
        [
            Op(
                index=index, kind="linear", op="linear", layer=name.lower(), inputs=(index - 1,) if index else (),
                shapes=((1, 3),), dtype="float32", attributes={}, params=(), macs=ord(name.lower()),
                live=name.islower(),
            )
            for index, name in enumerate(order)
        ]
        for order in orders
    ]  # fmt: skip


def names(ops):
    return "".join(op.layer for op in ops)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (["abc", "abc"], "abc"),
        (["ac", "abc"], "abc"),
        (["abd", "acd"], "abcd"),
        (["ab", "abab", "a"], "abab"),
        (["ab", "ba"], "bab"),
        (["abcz", "z", "bz"], "abcz"),
    ],
)
def test_each_pass_is_a_part_of_the_merged_graph(orders, expected):
    found = merged(passes(*orders))
    assert sorted(names(found.ops)) == sorted(expected)
    for number, order in enumerate(orders):
        assert names(op for op in found.ops if op.ran_in(number)) == order
    assert all(index < op.index for op in found.ops for index in op.inputs)
    assert [op.index for op in found.ops] == list(range(len(found.ops)))


def test_it_says_which_passes_ran_what_and_at_which_cost():
    found = merged(passes("ac", "abc"))
    a, b, c = found.ops
    assert (a.runs, b.runs, c.runs) == ((), ((1, ord("b")),), ())
    assert c.inputs == (0, 1)


def test_what_reaches_an_output_in_any_pass_does():
    found = merged(passes("Ab", "ab"))
    assert [op.live for op in found.ops] == [True, True]
    assert found.adding == {0, 1}


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        (["abc", "abc"], {0}),
        (["abc", "ab", "b"], {0}),
        (["ab", "abc", "bc", "abcd"], {0, 1, 3}),
        (["ab", "aB", "aC"], {0}),
        (["ab", "cd", "ad"], {0, 1}),
        (["A", "a", "a"], {0, 1}),
    ],
)
def test_a_pass_adds_if_more_reaches_an_output_than_before(orders, expected):
    assert merged(passes(*orders)).adding == expected


def test_the_merged_graph_of_one_pass_is_the_pass():
    (ops,) = passes("abc")
    assert merged([ops]).ops == tuple(ops)
    assert merged([]).ops == ()
