"""Markers in texts are found, and writing between them changes no other text."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archcheck.facts.facts import Training
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import regions, rewrite
from archcheck.foundation.text_files import Text
from archcheck.judging.engine import measure
from archcheck.rules.queries.marked_texts import written_for

CLOSED = "<!-- /archcheck -->"
FACTS = measure(nn.Sequential(nn.Linear(10, 10)), example=torch.zeros(1, 10))
TABLE = (
    "\n| measure | value |\n|---|---|\n| parameters | 110 |\n| multiply-accumulates | 100 on 1x10 |\n"
    "| activations | 80 bytes at the peak |\n"
)


def text(content: str) -> Text:
    return Text(shown="README.md", content=content)


def found(content: str) -> list[tuple[str, str | None, str]]:
    return [
        (each.subject, each.path, content[each.start : each.end]) for each in regions(text(content), ("net", "a net"))
    ]


def synced(content: str) -> str:
    page = text(content)
    return rewrite(page, regions(page, ("net", "a net")), lambda region: written_for(page, region, FACTS))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", []),
        ("<!-- archcheck notes --> <!-- other -->", []),
        (f"<!-- archcheck: net -->x{CLOSED}", [("net", None, "x")]),
        ("<!--archcheck:net params.total-->1<!--/archcheck-->", [("net", "params.total", "1")]),
        (f"<!-- archcheck: a net --> {CLOSED}", [("a net", None, " ")]),
        (f"<!-- archcheck: a net dropout -->{CLOSED}", [("a net", "dropout", "")]),
        (f"<!-- archcheck: net -->\r\nx\r\n{CLOSED}", [("net", None, "\r\nx\r\n")]),
    ],
)  # fmt: skip
def test_markers_name_a_subject_and_perhaps_a_figure(content, expected):
    assert found(content) == expected


@pytest.mark.parametrize(
    "code",
    [
        "```\n{}\n```", "```html\n{}\n```\n", "~~~\n```\n{}\n~~~", "````\n```\n{}\n````", "  ```\n  {}\n  ```",
        "> ```\n> {}\n> ```",
        "- ```\n  {}\n  ```", "1. ```\n   {}\n   ```", "```\r\n{}\r\n```", "```\n{}", "`{}`", "`` ` {} ``", "`a\n{}`",
        "\ufeff```\n{}\n```",
    ],
)  # fmt: skip
@pytest.mark.parametrize("marker", ["<!-- archcheck: net -->", CLOSED, "<!-- archcheck: nothing -->"])
def test_markers_in_code_are_ordinary_text(code, marker):
    assert found(code.format(marker)) == []
    after = f"\n\n<!-- archcheck: net -->{CLOSED}"
    closed = code not in ("```\n{}",)
    assert found(code.format(marker) + after) == ([("net", None, "")] if closed else [])


@pytest.mark.parametrize("no_code", ["`{}", "``{}`", "a ``` {}", "`a\n\n{}`", "```a`\n{}"])
def test_markers_outside_of_code_are_found(no_code):
    assert found(no_code.format(f"<!-- archcheck: net -->{CLOSED}")) == [("net", None, "")]


@pytest.mark.parametrize(
    ("content", "says", "line"),
    [
        ("a\n<!-- archcheck: net -->\n", "is not closed", 2),
        (f"<!-- archcheck: net -->\n<!-- archcheck: net -->{CLOSED}", "is not closed", 1),
        (f"a\n\n{CLOSED}", "closes nothing", 3),
        (f"<!-- archcheck: net -->{CLOSED}\n{CLOSED}", "closes nothing", 2),
        (f"\n<!-- archcheck: nte -->{CLOSED}", '"nte" is not a subject; did you mean "net"?', 2),
        (f"<!-- archcheck: nte params.total -->{CLOSED}", '"nte" is not a subject; did you mean "net"?', 1),
        (f"<!-- archcheck: -->{CLOSED}", '"" is not a subject', 1),
    ],
)
def test_errors_name_the_line(content, says, line):
    with pytest.raises(NotMeasured) as caught:
        found(content)
    assert says in str(caught.value)
    assert (caught.value.where.file, caught.value.where.line) == ("README.md", line)
    assert caught.value.fix


def test_a_table_and_a_figure_are_written():
    assert synced(f"<!-- archcheck: net -->{CLOSED}") == f"<!-- archcheck: net -->{TABLE}{CLOSED}"
    assert synced(f"<!-- archcheck: net cost.macs -->\n\n{CLOSED}.") == f"<!-- archcheck: net cost.macs -->100{CLOSED}."


def test_a_table_keeps_the_line_ends_and_what_begins_its_lines():
    windows = synced(f"<!-- archcheck: net -->\r\n{CLOSED}\r\n")
    assert windows == f"<!-- archcheck: net -->{TABLE}{CLOSED}\n".replace("\n", "\r\n")
    quoted = synced(f"> <!-- archcheck: net -->\n> {CLOSED}")
    assert quoted == "> " + f"<!-- archcheck: net -->{TABLE}{CLOSED}".replace("\n", "\n> ")


OPENINGS = ("<!-- archcheck: net -->", "<!-- archcheck: net params.total -->", "<!-- archcheck: net dropout -->")
BETWEEN = (
    "",
    " ",
    "`",
    "``",
    "\n```\n",
    "\n~~~\n",
    "\n",
    "\r\n",
    "\n\n",
    "> ",
    "- ",
    "    ",
    "| a | b |",
    "<!--",
    "\ufeff",
)
PLAIN = st.sampled_from(BETWEEN) | st.text(max_size=6)
REGIONS = st.builds("{}{}{}".format, st.sampled_from(OPENINGS), PLAIN, st.just(CLOSED))
PIECES = PLAIN | REGIONS | PLAIN | REGIONS | PLAIN | REGIONS | st.sampled_from((*OPENINGS, CLOSED))


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_rewriting_is_idempotent_and_keeps_other_text(content):
    page = text(content)
    try:
        before = regions(page, ("net",))
    except NotMeasured:
        return
    once = synced(content)
    position = 0
    rest = once
    for region in before:  # the parts around the regions are there in order, and nothing else but what is written
        around = content[position : region.start]
        assert rest.startswith(around)
        rest = rest[len(around) :]
        belongs = written_for(page, region, FACTS)
        assert rest.startswith(belongs)
        rest = rest[len(belongs) :]
        position = region.end
    assert rest == content[position:]
    assert synced(once) == once


def test_a_code_span_ends_where_it_ends_whatever_is_written_before():
    """The text between the first markers must not change how the ticks around them pair up."""
    tricky = f"` <!-- archcheck: net dropout -->\n\n{CLOSED} ` <!-- archcheck: net cost.macs -->1{CLOSED} `"
    once = synced(tricky)
    assert synced(once) == once


def test_a_figure_that_the_record_cannot_give_says_what_to_do_and_where():
    page = text(f"It has\n<!-- archcheck: net training.accuracy -->99 %{CLOSED}.")
    (region,) = regions(page, ("net",))
    other = Training(record_file="record.json", record={"schema": 1, "runs": []}, mismatches=())
    with pytest.raises(NotMeasured, match="the record holds no run") as caught:
        written_for(page, region, replace(FACTS, training=other))
    assert caught.value.fix == (
        "move the record and the checkpoint away and train again (`archcheck train Sequential`), "
        "or bring back what was trained"
    )
    assert caught.value.where == region.where
    assert region.where.line == 2
