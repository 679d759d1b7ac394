"""What results decide about epochs, and which numbers of an epoch are an accuracy."""

from __future__ import annotations

from fractions import Fraction

import pytest

from archcheck.rules import MinAccuracy
from archcheck.rules.findings import Result
from archcheck.rules.queries.outcome_text import epochs_to, validation_of
from tests.rules.test_records_judged import finding, run, trained


@pytest.mark.parametrize(
    ("epoch", "share"),
    [
        ({"validation_correct": 3, "validation_total": 4}, Fraction(3, 4)),
        ({"validation_correct": 0, "validation_total": 1}, Fraction(0)),
        ({"validation_correct": 1, "validation_total": 1}, Fraction(1)),
        ({"validation_correct": 0, "validation_total": 0}, None),
        ({"validation_correct": 5, "validation_total": 4}, None),
        ({"validation_correct": -1, "validation_total": 4}, None),
        ({"validation_correct": 3}, None),
        ({"validation_total": 4}, None),
        ({"validation_correct": 3, "validation_total": "4"}, None),
        ({"validation_correct": "3", "validation_total": 4}, None),
        ({"validation_accuracy": 0.1}, Fraction(1, 10)),
        ({"validation_accuracy": 0}, Fraction(0)),
        ({"validation_accuracy": 1}, Fraction(1)),
        ({"validation_accuracy": 1.5}, None),
        ({"validation_accuracy": -0.1}, None),
        ({"validation_accuracy": True}, None),
        ({"validation_accuracy": "0.5"}, None),
        ({}, None),
    ],
)
def test_what_is_a_validation_accuracy(epoch, share):
    assert validation_of(epoch) == share


def of(*shares):
    return {"epochs": [{"validation_accuracy": share} for share in shares]}


def test_the_first_epoch_that_reaches_a_target_counts():
    assert epochs_to(of(0.5, 0.9, 0.95), Fraction("0.9")) == 2
    assert epochs_to(of(0.5, None, 0.9), Fraction("0.9")) == 3
    assert epochs_to(of(0.5), Fraction("0.9")) == float("inf")


def judged(*shares, **record):
    runs = [{**run(seed), **of(*each)} for seed, each in enumerate(shares)]
    rule = MinAccuracy(limit=0.9, mode="epochs-to-target", within_epochs=2)
    return rule.check(trained(*runs, fresh=(9_500, 10_000), **record))


# Of five seeds the order statistics at the ends bound the median: each misses it with probability (1/2)^5 = 3.1 %.
def test_the_median_of_five_seeds_is_bounded_by_its_ends():
    message = "validation accuracy 90.00% after 1 epochs in the median of 5 seeds, at most 2 (96.8% sure), limit 2"
    assert judged((0.9,), (0.9,), (0.95,), (0.5, 0.9), (0.5, 0.9)) == Result(
        examined=1,
        found=1.0,
        limit=2,
        unit="epochs to a validation accuracy of 90.00%",
        kept=message,
        notes=(
            "5 seeds: 1, 1, 1, 2, 2",
            "bounds 1 and 2, each 96.8% sure by order statistics, their number chosen beforehand",
            "the checkpoint gives 9,500 of 10,000 on the test set",
        ),
    )


def test_targets_that_are_never_reached_break_it():
    result = judged(*[(0.5, 0.8)] * 5)
    message = "validation accuracy 90.00% never in the median of 5 seeds, at least never (96.8% sure), limit 2"
    (found,) = result.findings
    assert found.message == message
    assert (found.fix or "").startswith("improve the recipe: move the record and the checkpoint away and train again")
    assert (result.found, result.notes[0]) == (None, "5 seeds: never, never, never, never, never")


def test_one_seed_bounds_no_median():
    result = judged((0.9,))
    begin = "undecided: validation accuracy 90.00% after 1 epochs in the median of 1 seed, limit 2; needs more seeds: "
    assert result.kept == f"{begin}about 7 in all"
    assert result.notes[1] == "no bounds yet by order statistics, their number chosen beforehand"


# Bounds that hold at any number of seeds take seven of them, and attain no more than what is asked for.
def test_bounds_at_any_number_of_seeds_say_so():
    assert judged(*[(0.9,)] * 5, stopping={"rule": "decided"}).notes[1] == "no bounds yet at any number of seeds"
    result = judged(*[(0.9,)] * 7, stopping={"rule": "decided"})
    assert result.notes[1] == "bounds 1 and 1, each 95% sure at any number of seeds"
    assert "at most 1 (95% sure), limit 2" in result.kept


def test_seeds_without_any_validation_are_told():
    result = judged((0.9,), (None,))
    assert result.findings == (
        finding(
            "seed 1 has no validation accuracy: its trainer must yield `validation_correct` and `validation_total`, "
            "or `validation_accuracy`"
        ),
    )
