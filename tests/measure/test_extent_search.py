"""The search through a box of extents: what it always finds, and how small the result is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archcheck.measure.shapes.extent_search import Box, Tries, search, smallest

WIDE = Box((1, 28, 28), (64, 64, 64))


def found(box, fails, limit=300):
    """Return the failing point that is reported, and how many were tried."""
    tries = Tries(fails, limit)
    start = search(box, tries)
    if start is None:
        return None, len(tries.known)
    tries.limit += len(tries.known)
    return smallest(box, tries, start), len(tries.known)


def test_a_box_is_all_between_its_corners_the_lowest_first():
    box = Box((1, 5), (2, 6))
    assert box.count == 4
    assert list(box.points()) == [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert list(box.corners())[:2] == [(1, 5), (2, 6)]
    assert set(box.corners()) == set(box.points())


def test_no_point_is_tried_twice_nor_more_than_are_allowed():
    seen = []
    point, tried = found(WIDE, lambda point: seen.append(point) or False, limit=120)
    assert point is None
    assert len(seen) == len(set(seen)) == tried == 120


def test_a_small_box_is_tried_whole():
    box = Box((1, 1), (7, 9))
    for hidden in box.points():
        assert found(box, lambda point, hidden=hidden: point == hidden, limit=63)[0] == hidden


@pytest.mark.parametrize("corner", [*itertools.product((1, 64), (28, 64), (28, 64))])
def test_every_corner_is_tried(corner):
    assert found(WIDE, lambda point: point == corner)[0] == corner


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("remainder", range(7))
def test_a_failure_along_one_axis_is_found(axis, remainder):
    point, _ = found(WIDE, lambda point: point[axis] % 7 == remainder, limit=500)
    expected = [1, 28, 28]
    expected[axis] += (remainder - 28) % 7
    assert point == tuple(expected)


def test_a_failure_of_two_extents_is_found_by_hypothesis():
    def fails(point):
        return 0 < abs(point[1] - point[2]) < 3 and point[1] > 30 and point[2] > 30

    point, _ = found(WIDE, fails, limit=500)
    assert point in [(1, 31, 32), (1, 32, 31)]


def test_two_extents_that_must_agree_are_made_smaller_together_by_hypothesis():
    point, _ = found(WIDE, lambda point: point[1] == point[2] >= 40, limit=500)
    assert point == (1, 40, 40)


def within(count):
    """Tests in which hypothesis may search, too."""
    nested = [check for check in HealthCheck if check.name == "nested_given"]  # older releases do not mind
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=nested)


axes = st.tuples(st.integers(1, 9), st.integers(0, 90))
boxes = st.lists(axes, min_size=1, max_size=4).map(
    lambda axes: Box(tuple(low for low, _ in axes), tuple(low + size for low, size in axes))
)


@within(50)
@given(boxes, st.data())
def test_above_thresholds_the_point_is_the_thresholds(box, data):
    bounds = tuple(data.draw(st.integers(low, high)) for low, high in zip(box.low, box.high, strict=True))
    point, _ = found(box, lambda point: all(map(int.__ge__, point, bounds)))
    assert point == bounds


@within(50)
@given(boxes, st.integers(1, 500))
def test_no_extent_of_the_point_can_be_smaller(box, most):
    """Thresholds of a sum: there are many smallest points, and every smaller extent passes."""
    point, _ = found(box, lambda point: sum(point) > most)
    assert (point is None) == (sum(box.high) <= most)
    if point is not None:
        assert sum(point) > most
        for axis, (low, extent) in enumerate(zip(box.low, point, strict=True)):
            assert extent == low or sum((*point[:axis], extent - 1, *point[axis + 1 :])) <= most


@within(50)
@given(boxes, st.integers(2, 9), st.integers(0, 8))
def test_the_search_repeats_to_the_last_try(box, modulus, remainder):
    runs = []
    for _ in range(2):
        tried = []
        found(box, lambda point, tried=tried: tried.append(point) or sum(point) % modulus == remainder, limit=60)
        runs.append(tried)
    assert runs[0] == runs[1]


def test_hypothesis_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    found(WIDE, lambda point: point[1] + point[2] == 101)
    found(WIDE, lambda point: False, limit=2_000)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@settings(max_examples=3, deadline=None, database=None)
@given(st.integers(28, 64))
def test_the_search_works_inside_a_test_of_hypothesis(height):
    assert found(WIDE, lambda point: point[1] >= height)[0] == (1, height, 28)
