"""The page: everything in it is text, its numbers are those of the JSON, and it needs nothing from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from archcheck.cli import main
from archcheck.foundation.errors import ArchcheckError
from archcheck.render import render
from archcheck.rules.findings import Finding, Report, Verdict, reports_from_json
from tests.render.pages import EVIL, SHOWN, Document, chain, two_seeds
from tests.render.samples import (
    cross_checked,
    differences,
    failed,
    graded,
    judged,
    kept,
    layer,
    outcome,
    plain_net,
    residual_net,
    troubled_net,
    where,
)

RUN = (judged(), kept(), failed())
PAGES = {
    "several": RUN,
    "judged": (judged(),),
    "failed": (failed(),),
    "nothing": (),
    "troubled": (Report(subject="odd", facts=troubled_net()),),
    "residual": (Report(subject="resnet50", facts=residual_net()),),
    "counted": (Report(subject="net", facts=cross_checked(*differences())),),
    "graded": (graded(),),
    "trained": (two_seeds(),),
    "meta": (Report(subject="net", facts=replace(plain_net(), subject=replace(plain_net().subject, meta=True))),),
    "twice": (two_seeds(), replace(two_seeds(), subject="other")),
}


def page(*reports: Report) -> Document:
    return Document(render(reports, "html"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_needs_nothing_from_outside(name: str) -> None:
    text = render(PAGES[name], "html")
    text.encode("ascii")
    document = Document(text)  # every element is closed in order, no attribute is there twice
    assert document.one("html").attributes["lang"] == "en"
    assert document.all("title")[0].text.startswith("archcheck")
    assert document.one("meta", name="viewport")
    policy = document.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not document.all("script")
    assert not document.all("link")
    assert not document.having("src")
    names = [each.attributes["id"] for each in document.having("id")]
    assert len(names) == len(set(names))
    for element in document.elements:
        for attribute in ("href", "xlink:href", "clip-path", "marker-end"):
            target = element.attributes.get(attribute, "").removeprefix("url(").removesuffix(")")
            assert target == "" or (target[0] == "#" and (target == "#content" or target[1:] in names))
    assert "url(http" not in text
    assert not re.search(r"@import|@font-face", text)


@pytest.mark.parametrize("name", PAGES)
def test_the_same_report_gives_the_same_page_and_so_does_one_that_was_read_back(name: str) -> None:
    first = render(PAGES[name], "html")
    assert render(PAGES[name], "html") == first
    assert render(reports_from_json(json.loads(render(PAGES[name], "json"))), "html") == first


def evil_report() -> Report:
    """A report in which every name and message is an attack."""
    net = chain("input", "linear")
    root = layer("", EVIL, (1, 4), params=7)
    inner = layer(EVIL.replace(".", ""), EVIL, (1, 4), params=7)
    ops = (net.ops[0], replace(net.ops[1], kind=EVIL, op=EVIL, layer=inner.path, where=where(3, EVIL)))
    subject = replace(net.subject, name=EVIL, target=EVIL, notes=(EVIL,), where=where(3, EVIL))
    facts = replace(net, layers=(root, inner), ops=ops, subject=subject, unused_layers=(inner.path,))
    broken = outcome(
        EVIL, Verdict.BROKEN, because=EVIL, most=(EVIL,), notes=(EVIL,), unit=EVIL, found=EVIL,
        findings=(Finding(message=EVIL, fix=EVIL, layer=EVIL, where=where(1, EVIL)), Finding(message=EVIL)),
    )  # fmt: skip
    training = replace(two_seeds().facts.training, record_file=EVIL, mismatches=(EVIL,))
    training.record["runs"][0]["seed"] = EVIL
    return Report(subject=EVIL, facts=replace(facts, training=training), outcomes=(broken,))


def test_what_strangers_call_things_stays_text() -> None:
    report = evil_report()
    lost = replace(failed(), subject=EVIL, error=replace(failed().error, message=EVIL))
    text = render((report, lost), "html")
    document = Document(text)
    assert not document.all("script")
    assert "<script" not in text
    assert "\x1b" not in text
    assert "&#8238;" not in text  # what turns the direction of writing, as a reference
    assert document.one("article", id="s1").attributes["data-subject"] == SHOWN
    assert SHOWN in document.all("h2")[0].text
    assert document.one("li", data_rule=SHOWN).text.count(SHOWN) >= 6
    assert document.one("tr", data_seed=SHOWN)
    (box,) = [each for each in document.all("g") if each.attributes.get("data-op") == "1"]
    assert box.attributes["data-kind"] == SHOWN
    assert f"1 {SHOWN} ({SHOWN}) in {SHOWN}" in box.text  # in SVG, too
    handlers = [name for each in document.elements for name in each.attributes if name.startswith("on")]
    assert handlers == []


def test_the_numbers_are_those_of_the_json() -> None:
    report = Report(subject="resnet50", facts=residual_net(), outcomes=kept().outcomes)
    facts = json.loads(render((report,), "json"))["reports"][0]["facts"]
    document = page(report)
    for figure in document.having("data-fact"):
        part, name = figure.attributes["data-fact"].split(".")
        assert int(figure.attributes["value"]) == facts[part][name]
        assert figure.text == f"{facts[part][name]:,}"
    assert len(document.having("data-fact")) == 6
    layers = {each["path"]: each for each in facts["layers"]}
    rows = document.having("data-layer")
    assert len(rows) > 50
    for row in rows:
        found = layers[row.attributes["data-layer"]]
        shown = int(row.attributes["data-params"]), int(row.attributes["data-macs"])
        assert shown == (found["params"], found["macs"])
        if found["params"]:
            assert f"{found['params']:,}" in row.text
    bound = document.one("li", data_rule="max-params")
    assert (bound.attributes["data-found"], bound.attributes["data-limit"]) == ("1290", "19999")


def test_every_verdict_is_a_word_with_its_anatomy() -> None:
    document = page(judged())
    verdicts = [
        (each.attributes["data-instance"], each.attributes["data-verdict"]) for each in document.having("data-rule")
    ]
    assert verdicts == [(each.instance, each.verdict.value) for each in judged().outcomes]
    for element in document.having("data-rule"):
        assert element.attributes["data-verdict"] in element.text
    broken = document.one("li", data_rule="max-params").text
    for part in (
        "1,290 parameters, limit 1,000 (+290, +29.0 %)",
        "where model.py:5 class Net",
        "most fc Linear 32->10 1,098 85.1 % model.py:14",
        'why "must fit the badge"',
        "fix remove 290 parameters; max-params stands at pyproject.toml:58",
        "more archcheck explain max-params",
    ):
        assert part in broken


def test_shares_of_the_whole_are_bars_with_their_value() -> None:
    row = page(Report(subject="net", facts=plain_net())).one("tr", data_layer="fc")
    assert row.text == "fc Linear 1x10 1,098 85.1 % 8,576 62.3 %"
    text = render((Report(subject="net", facts=plain_net()),), "html")
    assert 'style="--share:85.12%"' in text  # 1,098 of 1,290


def test_a_subject_that_could_not_be_measured_says_why() -> None:
    document = page(failed())
    assert "could not be measured (import): no module named `timm`; install it" in document.one("main").text
    assert document.one("article").attributes["data-verdict"] == "error"
    assert not document.having("data-fact")


def test_several_subjects_have_a_table_that_leads_to_each() -> None:
    document = page(*RUN)
    rows = [each.text for each in document.all("tr") if "rules:" in each.text or "measured" in each.text]
    assert rows == [
        "net ! error 1,290 13,760 6 rules: 1 kept, 2 broken, 1 waived, 1 vacuous, 1 error",
        "net ✓ kept 1,290 13,760 2 rules: 2 kept",
        "lost ! error could not be measured (import): no module named `timm`; install it",
    ]
    assert [each.attributes["href"] for each in document.all("a")[1:4]] == ["#s1", "#s2", "#s3"]
    assert [each.attributes["data-subject"] for each in document.all("article")] == ["net", "net", "lost"]


def test_points_and_the_other_count_are_shown() -> None:
    assert page(graded()).one("li", data_rule="max-params").text.endswith("2.5 of 2.5 points")
    counted = page(Report(subject="net", facts=cross_checked(*differences()))).one("main").text
    assert "blocks.*.attention x3 scaled_dot_product_attention" in counted


def test_a_table_names_its_columns_and_rows() -> None:
    document = page(two_seeds(), kept())
    heads = document.all("th")
    assert {each.attributes["scope"] for each in heads} == {"col", "row"}
    assert len(document.all("figcaption")) == len(document.all("figure")) > 2


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_its_libraries_the_page_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved.json").write_text(render((kept(),), "json"))
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ArchcheckError, match=rf"^the format `html` needs {missing}; install"):
        render((kept(),), "html")
    assert main(["report", "saved.json", "--format", "html"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error == (
        f"archcheck: error: the format `html` needs {missing}; install with `pip install 'archcheck-torch[html]'`\n"
    )


def test_the_libraries_are_imported_for_a_page_and_only_then() -> None:
    code = (
        "import sys; from archcheck.render import FORMATS, render\n"
        "there = lambda: {'jinja2', 'matplotlib'} & set(sys.modules)\n"
        "for name in FORMATS:\n"
        "    if name != 'html': render((), name)\n"
        "assert not there(), there()\n"
        "render((), 'html')\n"
        "assert there() == {'jinja2'}, there()"  # and matplotlib where there is something to draw
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_page_of_a_whole_course_stays_small_and_says_what_it_leaves_out() -> None:
    many = [replace(two_seeds(), subject=f"student {number}") for number in range(100)]
    deep = [Report(subject=f"net {number}", facts=residual_net()) for number in range(50)]
    text = render((*many, *deep), "html")
    assert len(text) < 5_000_000
    document = Document(text)
    assert len(document.all("svg", class_="curves")) == 24
    assert text.count("The curves are not drawn, to keep the page small") == 76
    assert len(document.having("data-seed")) == 200  # the figures are all there
    left_out = text.count("Layers further inside are left out, to keep the page small")
    assert 0 < left_out < 50
    assert len(document.having("data-fact")) == 6 * 150
    assert len(document.having("data-layer")) <= 3_000 + left_out
