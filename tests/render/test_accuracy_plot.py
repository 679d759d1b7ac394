"""The plot of parameters against accuracy: a point a subject, where its numbers say, all of it inside the frame."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcheck.foundation.errors import ArchcheckError
from archcheck.render.accuracy_plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, accuracy_plot
from tests.rules.test_records_judged import FACTS, run, trained


def sized(parameters, *correct):
    facts = trained(*(run(seed, each) for seed, each in enumerate(correct)))
    return replace(facts, params=replace(facts.params, total=parameters))


def own_points(picture):
    """Return the centres of the points but that of the legend, which comes first."""
    return [
        (float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="4.5" fill="#0b5fa5"', picture)
    ][1:]


def test_more_parameters_are_further_right_and_fewer_errors_higher():
    picture = accuracy_plot([sized(10_000, 9_900), sized(100, 9_000, 9_010), sized(1_000, 9_700)], [(500, 98.0)])
    first, second, third = own_points(picture)
    assert first[0] < second[0] < third[0]
    assert first[1] > second[1] > third[1]
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)  # logarithmic
    texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.tag.endswith("text")]
    assert {"100", "1,000", "10,000", "500", "posted by others"} <= set(texts)


@pytest.mark.parametrize(("others", "own_left"), [(98.98, True), (99.08, False), (97.0, False)])
def test_numbers_of_two_points_at_one_spot_stand_apart_and_have_the_colours_of_their_points(others, own_left):
    picture = accuracy_plot([sized(700, 9_905), sized(100, 9_000), sized(9_000, 9_950)], [(705, others)])
    found = {
        each.text: (each.get("text-anchor"), each.get("fill"), float(each.get("y")))
        for each in ElementTree.fromstring(picture).iter()
        if each.tag.endswith("text")
    }
    own, other = found["700"], found["705"]
    assert (own[1], other[1]) == ("#0b5fa5", "#b34700")
    assert {own[0], other[0]} == {"start", "end"}
    assert (own[0] == "end") is own_left
    if others > 98:
        assert (own[2] < other[2]) is own_left


def test_nothing_of_others_is_drawn_unless_it_is_given():
    picture = accuracy_plot([sized(10, 9_900)])
    assert "posted" not in picture
    assert picture.count("<circle") == 2


def test_a_subject_without_an_accuracy_is_left_out_and_none_at_all_is_an_error():
    assert len(own_points(accuracy_plot([FACTS, sized(10, 9_900)]))) == 1
    with pytest.raises(ArchcheckError, match="no subject has a training record that proves an accuracy to plot"):
        accuracy_plot([FACTS])


@given(
    st.lists(st.tuples(st.integers(0, 10**12), st.lists(st.integers(0, 10_000), min_size=1, max_size=4)), min_size=1),
    st.lists(st.tuples(st.integers(1, 10**12), st.floats(0, 100)), max_size=3),
)
def test_everything_is_inside_the_frame(subjects, points):
    picture = accuracy_plot([sized(size, *correct) for size, correct in subjects], points)
    ElementTree.fromstring(picture)
    assert accuracy_plot([sized(size, *correct) for size, correct in subjects], points) == picture
    for x, y in own_points(picture):
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM
    assert len(own_points(picture)) == len(subjects)
    assert "nan" not in picture
    heights = [float(y) for y in re.findall(r'y[12]="(-?[\d.]+)"', picture)]
    assert all(TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1 for y in heights)
