import html
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from archcheck.render import render
from archcheck.render.wording import one_line
from archcheck.rules.findings import Finding, Report, Verdict
from tests.render.samples import failed, judged, kept, outcome, plain_net, troubled_net

INJECTIONS = (
    "a | b", "`code`", "**bold** _it_ ~~no~~", "<script>alert(1)</script>", "![x](https://e.vil/x.png)",
    "[x](https://e.vil)", "&lt;b&gt;", "line\nbreak | x |\n|---|", "\\", "\\|", "# head", "$x$", "a\x1b[31m",
)  # fmt: skip


def markdown(*reports: Report) -> str:
    return render(reports, "markdown")


def page(text: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def cells(text: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page(text), re.DOTALL)
    return [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in rows[1:]]


def test_a_row_has_rule_verdict_found_limit_and_note() -> None:
    row = cells(markdown(judged()))[1]
    assert row[:4] == ["max-params", "<strong>broken</strong>", "1,290 parameters", "1,000"]
    assert "must fit the badge" in row[4]
    assert "at model.py:5" in row[4]


def test_a_waiver_is_shown_with_its_reason() -> None:
    row = next(row for row in cells(markdown(judged())) if row[1] == "waived")
    assert row[4] == "features.0 pads by 1 (waived: as published)"


@pytest.mark.parametrize(
    ("reports", "heading"),
    [((kept(),), "kept"), ((kept(), judged()), "could not be checked"), ((failed(),), "could not be checked")],
)
def test_the_heading_is_the_verdict_of_the_run(reports: tuple[Report, ...], heading: str) -> None:
    assert markdown(*reports).startswith(f"### archcheck: {heading}\n")


def test_hidden_weights_and_unknown_costs_stand_beside_the_totals() -> None:
    text = markdown(Report(subject="net", facts=troubled_net()))
    assert "500 parameters, 4,000 multiply-accumulates on 1x1x8x8" in text
    assert "**585 elements of hidden weights**" in text
    assert "cost unknown of aten.erfinv, aten.topk" in text


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(INJECTIONS) | st.text(max_size=30))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    finding = Finding(message=text, where=None)
    broken = outcome("no-padding", Verdict.BROKEN, instance=f"x{text}", found=f"x{text}", findings=(finding,))
    report = replace(judged(), outcomes=(broken,))
    (row,) = cells(markdown(report))
    assert len(row) == 5
    shown = f"x{one_line(text)}".strip()
    assert html.unescape(row[0]).replace("\u200b", "") == html.unescape(row[2]).replace("\u200b", "") == shown
    assert "<" not in row[0] + row[4]


@pytest.mark.parametrize("text", ["@org/team", "https://e.vil", "www.e.vil", ":tada:", "#12"])
def test_nothing_becomes_a_mention_link_emoji_or_reference(text: str) -> None:
    lines = markdown(Report(subject=text, facts=plain_net(), outcomes=(outcome(text),)))
    shown = html.unescape(page(lines))
    assert text not in shown if text[0] in "@:#" else text not in lines
    assert text in shown.replace("\u200b", "")
