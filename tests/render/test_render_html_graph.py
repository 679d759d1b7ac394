"""The executed graph on paper: what becomes a box, what flows where, and that any length can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from archcheck.facts.facts import Facts
from archcheck.render import render
from archcheck.render.html.drawing import Drawing, draw
from archcheck.render.html.labels import fit
from archcheck.render.html.plan import FLAT, MANY, MOST, PageBudget, Plan, plan
from archcheck.rules.findings import Report
from tests.render.pages import Document, chain
from tests.render.samples import facts, layer, op


def planned(net: Facts, boxes: int = MOST) -> Plan:
    found = plan(net, PageBudget(boxes=boxes))
    assert found
    return found


def drawn(net: Facts) -> Drawing:
    return draw(net, planned(net))


def titles(drawing: Drawing) -> list[str]:
    return [f"{box.label.title} {box.label.name}".strip() for box in drawing.boxes]


def net_of(*layers: str, skips: dict[int, int] | None = None) -> Facts:
    """A network that runs one operation in each of these layers, in a row; `skips` are further reads."""
    inputs = [{max(0, index - 1), (skips or {}).get(index, max(0, index - 1))} for index in range(len(layers))]
    ops = tuple(
        op("relu", path, index=index, inputs=tuple(sorted(inputs[index] - {index})))
        for index, path in enumerate(layers)
    )
    paths = dict.fromkeys(".".join(path.split(".")[:end]) for path in layers for end in range(1, path.count(".") + 2))
    modules = [layer(path, "Block" if path.isalpha() else "Part", (1, 4)) for path in paths if path]
    return facts(layer("", "Net", (1, 4)), *modules, ops=ops, train_length=len(ops))


def blocks(count: int, size: int, name: str = "blocks") -> list[str]:
    return [f"{name}.{block}.part{part}" for block in range(count) for part in range(size)]


def test_a_short_graph_is_drawn_operation_by_operation_in_the_frames_of_its_modules() -> None:
    drawing = drawn(net_of("", "stem.conv", "stem.norm", "head"))
    assert titles(drawing) == ["relu", "relu conv", "relu norm", "relu head"]
    assert [frame.title for frame in drawing.frames] == ["stem  Block"]
    (frame,) = drawing.frames
    inside = [box for box in drawing.boxes if frame.y < box.y < frame.y + frame.height]
    assert [box.label.index for box in inside] == [1, 2]
    assert drawing.inner == ()


def test_boxes_stand_below_one_another_and_leave_room() -> None:
    drawing = drawn(net_of("", *blocks(3, 4)))
    tops = [box.y for box in drawing.boxes]
    assert all(below - above >= 36 for above, below in pairwise(tops))
    assert drawing.height >= tops[-1] + 24


def test_a_result_goes_down_to_the_next_and_through_a_lane_to_others() -> None:
    drawing = drawn(net_of("a", "b", "c", "d", skips={3: 0}))
    (lane,) = [line for line in drawing.lines if "H331" in line]
    assert re.fullmatch(r"M318 (\d+)H331V(\d+)H319", lane)
    assert drawing.lanes == 1
    assert len(drawing.lines) == 4  # three straight down, one around
    assert drawn(net_of("a", "b", "c", "d")).lanes == 0


def test_what_nobody_reads_has_no_arrow() -> None:
    net = net_of("a", "b", "c")
    ops = (net.ops[0], replace(net.ops[1], inputs=()), replace(net.ops[2], inputs=(1,)))
    assert len(drawn(replace(net, ops=ops)).lines) == 1


def test_lanes_are_used_again_once_they_are_free() -> None:
    assert drawn(net_of(*"abcdefg", skips={2: 0, 4: 2, 6: 4})).lanes == 1
    assert drawn(net_of(*"abcdefg", skips={4: 0, 5: 1, 6: 2})).lanes == 3


def test_a_long_graph_is_drawn_by_module_each_with_a_drawing_of_its_own() -> None:
    drawing = drawn(net_of("", *blocks(1, 30, "stem"), *blocks(1, 35, "body"), "head"))
    assert [box.label.title for box in drawing.boxes] == ["relu", "stem", "body", "relu"]
    assert [(each.title, each.operations) for each in drawing.inner] == [("stem (Block)", 30), ("body (Block)", 35)]
    assert [box.inner for box in drawing.boxes] == [None, 2, 3, None]
    assert [each.number for each in drawing.inner] == [2, 3]


def test_modules_in_a_row_that_do_the_same_are_one_box_and_the_first_is_drawn() -> None:
    drawing = drawn(net_of("", *blocks(80, 5)))
    (inside,) = drawing.inner
    assert titles(inside) == ["0 to 79 80 alike Part"]
    (first,) = inside.inner
    assert (first.title, first.alike, first.operations) == ("blocks.0 to 79 (Part)", 80, 5)
    assert len(first.boxes) == 5


def test_a_module_that_differs_is_a_box_of_its_own() -> None:
    net = net_of("", *blocks(80, 5))
    odd = replace(net.ops[203], kind="gelu")
    (inside,) = drawn(replace(net, ops=(*net.ops[:203], odd, *net.ops[204:]))).inner
    assert [box.label.title for box in inside.boxes] == ["0 to 39", "40", "41 to 79"]


def test_what_comes_from_before_a_drawing_enters_from_the_left() -> None:
    net = net_of("", *blocks(1, 45, "stem"), *blocks(1, 45, "body"), skips={60: 0})
    body = drawn(net).inner[1]
    entering = [line for line in body.lines if line.startswith("M2 ")]
    assert len(entering) == 2  # the first box, and the one that reads the input


def test_a_model_that_only_wraps_another_is_not_drawn_for_itself() -> None:
    drawing = drawn(net_of(*(f"model.inner.{path}" for path in ("a", *blocks(1, 50), "b"))))
    assert [box.label.title for box in drawing.boxes] == ["relu", "blocks", "relu"]


@pytest.mark.parametrize("length", [1, FLAT, FLAT + 1, MANY + 1, 1_000, 10_000])
def test_a_graph_without_modules_can_be_read_at_any_length(length: int) -> None:
    net = chain("input", *["relu"] * (length - 1))
    net = replace(net, ops=tuple(replace(each, layer="") for each in net.ops))
    found, shown = [planned(net, boxes=100_000)], []
    while found:
        one = found.pop()
        assert len(one.boxes) <= MANY
        found += [box.inner for box in one.boxes if box.inner]
        shown += [box.start for box in one.boxes if box.stop - box.start == 1]
    assert sorted(shown) == list(range(length))


def test_no_page_has_more_boxes_than_it_may_and_says_so() -> None:
    net = chain("input", *["relu"] * 999)
    small = planned(net, boxes=100)
    assert small.undrawn > 0
    count, found = 0, [small]
    while found:
        one = found.pop()
        count += len(one.boxes)
        found += [box.inner for box in one.boxes if box.inner]
    assert count <= 100
    assert plan(net, PageBudget(boxes=3)) is None


def test_every_operation_of_a_short_graph_is_on_the_page_once_with_what_is_known_of_it() -> None:
    net = net_of("", "stem.conv", "stem.norm", "head")
    ops = (*net.ops[:3], replace(net.ops[3], macs=1_234, shapes=((1, 4),), live=False))
    document = Document(render((Report(subject="net", facts=replace(net, ops=ops)),), "html"))
    assert [each.attributes["data-op"] for each in document.having("data-op")] == ["0", "1", "2", "3"]
    last = document.having("data-op")[-1]
    assert "3 relu (relu) in head, 1x4 float32, 1,234 multiply-accumulates, reads 2, reaches no output" in last.text
    assert "idle" in last.attributes["class"]


def test_deep_graphs_stay_small_and_nested() -> None:
    deep = [f"{'.'.join(['m'] * depth)}.x" for depth in range(1, 300)]
    text = render((Report(subject="net", facts=net_of(*deep)),), "html")
    assert len(text) < 1_000_000
    Document(text)


def test_words_fit_into_their_box() -> None:
    net = net_of("", "x" * 90)
    ops = (net.ops[0], replace(net.ops[1], kind="k" * 90, shapes=((1, *([99] * 30)),)))
    for box in drawn(replace(net, ops=ops)).boxes:
        assert len(box.label.title + box.label.name + box.label.output) <= 39
    assert fit("two\nlines", 20) == "two lines"


def opened(net: Facts) -> list[bool]:
    """Whether each inner drawing is open at first."""
    document = Document(render((Report(subject="net", facts=net),), "html"))
    return ["open" in each.attributes for each in document.all("details")]


def test_a_short_graph_is_open_and_of_a_long_one_its_only_part() -> None:
    assert opened(net_of(*blocks(1, 45, "stem"), *blocks(1, 45, "body"))) == [True, True]
    assert not any(opened(net_of(*blocks(1, 90, "stem"), *blocks(1, 90, "body"))))
    assert opened(net_of("", *blocks(80, 5))) == [True, False]
