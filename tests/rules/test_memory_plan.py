"""Plans of memory: nothing overlaps, and the arena lies between what is alive at once and the sum of all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archcheck.rules.queries.memory_plan import Buffer, plan_memory

BUFFERS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, 12), st.integers(0, 6)).map(
        lambda drawn: Buffer(bytes=drawn[0], first=drawn[1], last=drawn[1] + drawn[2])
    ),
    max_size=20,
)


@given(BUFFERS, st.sampled_from([1, 4, 16, 64]))
def test_what_is_alive_together_never_overlaps(buffers, alignment):
    plan = plan_memory(buffers, alignment)
    placed = list(zip(plan.buffers, plan.offsets, plan.sizes, strict=True))
    for number, (one, start, size) in enumerate(placed):
        assert start % alignment == 0
        assert one.bytes <= size < one.bytes + alignment
        for other, begin, extent in placed[:number]:
            apart = one.last < other.first or other.last < one.first
            assert apart or start + size <= begin or begin + extent <= start


@given(BUFFERS, st.sampled_from([1, 16]))
def test_the_arena_lies_between_the_most_alive_and_the_sum(buffers, alignment):
    plan = plan_memory(buffers, alignment)
    alive = [
        sum(size for each, size in zip(plan.buffers, plan.sizes, strict=True) if each.first <= step <= each.last)
        for step in range(20)
    ]
    assert plan.alive == max(alive) == alive[plan.peak]
    assert plan.alive <= plan.arena <= sum(plan.sizes)
    assert sum(size for _, size in plan.at_peak()) == plan.alive


def test_a_chain_takes_its_largest_pair():
    sizes = [10, 80, 60, 20, 5]
    plan = plan_memory([Buffer(bytes=size, first=step, last=step + 1) for step, size in enumerate(sizes)])
    assert (plan.arena, plan.alive, plan.peak) == (140, 140, 2)


def test_the_smallest_gap_is_taken_and_not_the_lowest():
    lives = [(60, 0, 1), (55, 0, 3), (50, 1, 1), (45, 1, 3), (30, 3, 3)]
    plan = plan_memory([Buffer(bytes=size, first=first, last=last) for size, first, last in lives])
    # At step 3, the second and the fourth are alive, from 60 to 115 and from 165 to 210.
    assert plan.offsets == (0, 60, 115, 165, 115)
    assert plan.arena == plan.alive == 210


def test_a_plan_may_take_more_than_is_alive_at_once():
    lives = [(40, 1, 1), (30, 0, 2), (50, 3, 3), (50, 1, 3), (10, 2, 3)]
    plan = plan_memory([Buffer(bytes=size, first=first, last=last) for size, first, last in lives])
    # At step 3 both of 50 are alive, up to 100, and at step 2 the 30 bytes from 90 to 120: 10 more go above.
    assert plan.offsets == (50, 90, 50, 0, 120)
    assert (plan.alive, plan.arena) == (120, 130)


def test_nothing_takes_nothing():
    plan = plan_memory([], 16)
    assert (plan.arena, plan.alive, plan.at_peak()) == (0, 0, [])
