"""The curves of a training: numbers worked out by hand, and pictures that are the same each time."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import NormalDist

import pytest

from archcheck.render import render
from archcheck.render.html.curves import draw_curves
from archcheck.render.html.evidence import MOST, Evidence, described, evidence_of
from archcheck.rules.findings import Report
from tests.render.pages import Document, epoch, run, trained, two_seeds
from tests.render.samples import outcome, plain_net


def evidence(report: Report) -> Evidence:
    found = evidence_of(report)
    assert found
    return found


def test_figures_are_those_of_the_record() -> None:
    found = evidence(two_seeds())
    assert [curve.shares for curve in found.curves] == [(0.8, 0.9, 0.93), (0.82, 0.91, 0.95)]
    assert [curve.result for curve in found.curves] == [(940, 1_000), (960, 1_000)]
    assert (found.mean, found.limit, found.epochs, found.tested) == (0.95, 0.9, 3, 2)


def test_the_interval_of_a_seed_is_about_that_of_the_normal_distribution() -> None:
    curve = evidence(two_seeds()).curves[0]
    assert curve.interval
    around = NormalDist().inv_cdf(0.975) * (0.94 * 0.06 / 1_000) ** 0.5
    assert curve.interval == pytest.approx((0.94 - around, 0.94 + around), abs=0.003)


def test_the_interval_of_the_mean_is_that_of_student() -> None:
    report = trained(*(run(seed, [epoch(900)], correct) for seed, correct in enumerate((940, 950, 960))))
    # Standard deviation 0.01, three seeds, t of 0.975 with two degrees of freedom: 4.302653.
    around = 4.302653 * 0.01 / 3**0.5
    assert evidence(report).interval == pytest.approx((0.95 - around, 0.95 + around), abs=1e-6)


def test_one_seed_or_test_sets_of_two_sizes_give_no_interval_of_a_mean() -> None:
    one = evidence(trained(run(0, [epoch(900)], 950)))
    assert (one.mean, one.interval) == (0.95, None)
    odd = evidence(trained(run(0, [epoch(900)], 950), run(1, [epoch(900)], 95, 100)))
    assert (odd.mean, odd.interval) == (None, None)


def test_the_limit_is_that_of_an_accuracy_not_of_epochs() -> None:
    report = two_seeds(limit=None)
    assert evidence(report).limit is None
    epochs = replace(report, outcomes=(outcome("min-accuracy", limit=14),))
    assert evidence(epochs).limit is None


@pytest.mark.parametrize("record", [None, {}, {"runs": None}, {"runs": 3}, {"runs": ["x"]}, {"runs": []}])
def test_without_runs_there_is_nothing_to_show(record: object) -> None:
    report = two_seeds()
    assert report.facts
    assert report.facts.training
    odd = replace(report.facts, training=replace(report.facts.training, record=record))
    assert evidence_of(replace(report, facts=odd)) is None
    assert 'class="training"' not in render((replace(report, facts=odd),), "html")
    assert evidence_of(Report(subject="net", facts=plain_net())) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"seed": None},
        {"seed": [1], "epochs": "abc", "test": 3},
        {"seed": 0, "epochs": [3, {}, {"validation_correct": True, "validation_total": 0}]},
        {"seed": 0, "epochs": [{"validation_accuracy": float("nan")}], "test": {"correct": 5, "total": 3}},
        {"seed": 10**400, "epochs": [{"validation_accuracy": 0.5}], "test": {"correct": 0, "total": 1}},
        {"seed": "$\\frac$", "epochs": [epoch(0)], "test": {"correct": 1, "total": 1}},
    ],
)
def test_a_record_of_anything_is_shown_as_far_as_it_goes(odd: dict[str, object]) -> None:
    for report in (trained(odd), trained(odd, run(1, [epoch(900)], 950)), trained(odd, limit=None)):
        Document(render((report,), "html"))


def test_the_page_has_the_figures_of_each_seed() -> None:
    document = Document(render((two_seeds(),), "html"))
    rows = document.having("data-seed")
    assert [row.text.split(" to ")[0].rsplit(" ", 1)[0] for row in rows] == [
        "0 3 93.00% 940 1,000 94.00%",
        "1 3 95.00% 960 1,000 96.00%",
    ]
    assert document.one("figure", class_="training").attributes["data-mean"] == "0.95"
    assert document.one("figure", class_="training").attributes["data-limit"] == "0.9"
    assert "95.00% mean test accuracy over 2 seeds" in document.one("main").text
    label = next(each.attributes["aria-label"] for each in document.having("aria-label") if "curves" in str(each))
    assert label == "Training curves: 2 seeds, up to 3 epochs, test accuracy 94.00% to 96.00%, limit 90.00%"


def test_one_seed_of_one_epoch_is_told_in_the_singular() -> None:
    assert described(evidence(trained(run(0, [epoch(900)], 950)))).startswith("1 seed, up to 1 epoch, ")


def test_a_record_of_another_model_is_shown_with_that_said() -> None:
    report = two_seeds()
    training = replace(report.facts.training, mismatches=("the record is of another model",))
    text = Document(render((replace(report, facts=replace(report.facts, training=training)),), "html")).one("main").text
    assert "the record is of another model, so this proves nothing of the model at hand" in text


def test_without_a_limit_the_page_says_where_to_find_it() -> None:
    said = "No limit is drawn, as no accuracy was judged here"
    assert said in render((two_seeds(limit=None),), "html")
    assert said not in render((two_seeds(),), "html")


def test_more_seeds_than_fit_are_counted() -> None:
    report = trained(*(run(seed, [epoch(900)], 950) for seed in range(MOST + 5)))
    assert len(evidence(report).curves) == MOST
    assert "5 more seeds" in render((report,), "html")
    assert evidence(report).mean == 0.95


def test_first_epochs_far_below_the_limit_do_not_flatten_the_rest() -> None:
    early = run(0, [epoch(100), epoch(990), epoch(995)], 995)
    found = evidence(trained(early, limit=0.99))
    low, high = found.visible_range
    assert 0.8 < low < 0.99 < high
    assert found.below == 1
    assert "1 of the first validation accuracies lie below what is in sight" in render(
        (trained(early, limit=0.99),), "html"
    )
    assert evidence(trained(early, limit=None)).below == 0


def test_a_picture_is_the_same_each_time_and_takes_its_colours_from_the_page() -> None:
    found = evidence(two_seeds())
    text = draw_curves(found, "s1-curves")
    assert draw_curves(found, "s1-curves") == text
    assert text.startswith("<svg ")
    assert text.endswith("</svg>")
    assert "var(--accent)" in text
    assert "var(--limit)" in text
    assert not re.search(r"#[0-9a-f]{6}\b", text)  # no colour that only one of light and dark can be read in
    assert ">limit 90.00%</text>" in text  # letters, not outlines of them
    assert ">validation accuracy</text>" in text
    assert not re.search(r"\d{4}-\d\d-\d\d|[Mm]atplotlib v|dc:", text)
    assert all(each.startswith("s1-curves-") for each in re.findall(r'\bid="([^"]+)"', text))
    assert draw_curves(found, "s2-curves") != text
