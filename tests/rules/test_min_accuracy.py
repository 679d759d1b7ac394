"""`min-accuracy`: what a record must hold for its figures to prove anything, and what they prove in each mode."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated
from archcheck.facts.records import Training
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import judge, measure
from archcheck.rules import MinAccuracy
from archcheck.rules.findings import Verdict

FACTS = measure(nn.Linear(2, 2), example=torch.zeros(1, 2))
RULE = MinAccuracy(limit=0.9, within_epochs=3, seeds=2)
FLAGSHIP = (9960, 9957, 9944, 9948, 9954)


def run(seed=0, /, **changes):
    whole = {"seed": seed, "epochs": [{"epoch": 1}], "selected": "last", "test": {"correct": 95, "total": 100}}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def outcome(*runs, rule=RULE, fresh=(95, 100), **record):
    record = {"schema": 1, "runs": list(runs), "checkpoint": {"seed": 0}, **record}
    training = Training(record_file="record.json", record=record, mismatches=(), correct=fresh[0], total=fresh[1])
    stated = Stated(rule=rule, instance="min-accuracy", where=Where(file="a.toml", line=1))
    return judge(replace(FACTS, training=training), [stated])[0]


def of_counts(*counts, total=10_000, rule=None, **record):
    runs = [run(seed, test={"correct": count, "total": total}) for seed, count in enumerate(counts)]
    return outcome(*runs, rule=rule or MinAccuracy(limit=0.994), fresh=(counts[0], total), **record)


def of_epochs(*epochs, rule=None, **record):
    """Runs of 20 epochs that reach 99 % of the validation examples in the given ones, never for 0."""
    runs = [
        run(
            seed,
            epochs=[{"validation_correct": 98 + (number == epoch), "validation_total": 100} for number in range(1, 21)],
        )
        for seed, epoch in enumerate(epochs)
    ]
    return outcome(*runs, rule=rule or MinAccuracy(limit=0.99, mode="epochs-to-target", within_epochs=15), **record)


@pytest.mark.parametrize("changes", [{}, {"selected": None}, {"test": {"correct": 94, "total": 100}}])
def test_a_whole_record_proves_its_mean(changes):
    assert outcome(run(0), run(1, **changes)).verdict is Verdict.KEPT


@pytest.mark.parametrize("mode", ["recipe", "artifact", "epochs-to-target"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epochs": None}, "seed 1 records no epochs"),
        ({"epochs": []}, "seed 1 records no epochs"),
        ({"epochs": 3}, "seed 1 records no epochs"),
        ({"seed": 0}, "the record holds a seed twice"),
        ({"selected": "best"}, 'seed 1 has a result chosen by "best", not that of the last epoch'),
        ({"selected": 7}, 'chosen by "7"'),
        ({"test": {"correct": 50, "total": 50}}, "test sets of different sizes: 50 and 100"),
        ({"test": {"correct": 101, "total": 100}}, "seed 1 has no result on the test set"),
        ({"test": {"correct": "95", "total": 100}}, "seed 1 has no result on the test set"),
        ({"test": {"correct": True, "total": 1}}, "seed 1 has no result on the test set"),
        ({"test": None}, "seed 1 has no result on the test set"),
    ],
)
def test_a_record_that_lacks_something_breaks_the_rule(changes, says, mode):
    found = outcome(run(0), run(1, **changes), rule=replace(RULE, mode=mode, seeds=1))
    assert found.verdict is Verdict.BROKEN
    assert says in found.summary


@pytest.mark.parametrize("mode", ["recipe", "artifact"])
def test_no_run_may_be_longer_than_promised(mode):
    found = outcome(run(0), run(1, epochs=[{}] * 4), rule=replace(RULE, mode=mode, seeds=1))
    assert found.verdict is Verdict.BROKEN
    assert found.summary == "seed 1 trained 4 epochs, 3 are allowed"


@pytest.mark.parametrize("mode", ["recipe", "artifact", "epochs-to-target"])
def test_in_every_mode_the_checkpoint_reproduces_its_count(mode):
    found = outcome(run(0), run(1), rule=replace(RULE, mode=mode, seeds=1), fresh=(96, 100))
    assert found.verdict is Verdict.BROKEN
    assert "the checkpoint gives 96 of 100 correct, the record says 95 of 100" in [
        each.message for each in found.findings
    ]


def test_the_flagship_keeps_its_recipe_by_its_lower_bound():
    """Mean 99.526, standard deviation 0.0654, t(0.95, 4) = 2.132: 99.526 - 2.132 * 0.0654 / sqrt(5) = 99.464."""
    found = of_counts(*FLAGSHIP)
    assert found.verdict is Verdict.KEPT
    assert found.summary == "mean test accuracy 99.53% over 5 seeds, at least 99.46% (95% sure), limit 99.40%"
    assert (found.found, found.limit, found.unit) == (0.99526, 0.994, "mean test accuracy")
    assert found.notes[:2] == (
        "5 seeds, 99.44% to 99.60%, standard deviation 0.065%",
        "bounds 99.46% and 99.59%, each 95% sure by Student's t, their number chosen beforehand",
    )
    assert of_counts(*FLAGSHIP, rule=MinAccuracy(limit=0.9947)).verdict is Verdict.BROKEN


def test_a_recipe_below_the_limit_is_broken_by_its_upper_bound():
    found = of_counts(*FLAGSHIP, rule=MinAccuracy(limit=0.996))
    assert found.verdict is Verdict.BROKEN
    assert found.summary == "mean test accuracy 99.53% over 5 seeds, at most 99.59% (95% sure), limit 99.60%"
    assert "train again" in found.findings[0].fix


def test_what_some_seeds_do_not_tell_is_undecided():
    found = of_counts(*FLAGSHIP, rule=MinAccuracy(limit=0.995))
    assert found.verdict is Verdict.BROKEN
    assert found.summary == (
        "undecided: mean test accuracy 99.53% over 5 seeds, between 99.46% and 99.59% (95% sure of each), "
        "limit 99.50%; needs more seeds: about 60 in all"
    )
    assert "archcheck train" in found.findings[0].fix
    assert "--until-decided" in found.findings[0].fix


def test_one_seed_bounds_nothing():
    found = of_counts(9990)
    assert found.verdict is Verdict.BROKEN
    assert found.summary == (
        "undecided: mean test accuracy 99.90% over 1 seed, limit 99.40%; needs more seeds: one gives no bound"
    )


def test_a_mean_at_the_limit_is_beyond_hope():
    assert of_counts(9938, 9942).summary.endswith("needs more seeds: more than 1,000")


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((9942,) * 2, Verdict.BROKEN),
        ((9943,) * 2, Verdict.KEPT),
        ((9940,) * 9, Verdict.BROKEN),
        ((9941,) * 4, Verdict.KEPT),
    ],
)
def test_equal_seeds_are_not_taken_for_seeds_without_spread(counts, verdict):
    """A spread of half an example: of two seeds 6.314 * 0.5 / sqrt(2) = 2.23 examples, of four 2.353 * 0.25 = 0.59."""
    assert of_counts(*counts).verdict is verdict


def test_bounds_that_would_look_like_the_limit_show_more_digits():
    found = of_counts(99_400, 99_402, 99_404, 99_402, 99_402, total=100_000)
    assert "at least 99.401%" in found.summary
    assert "limit 99.400%" in found.summary


def test_a_record_that_was_stopped_when_it_was_decided_is_judged_by_wider_bounds():
    """The critical value of five seeds is 5.110 in place of 2.132: 99.526 - 5.110 * 0.0654 / sqrt(5) = 99.376."""
    found = of_counts(*FLAGSHIP, stopping={"procedure": "anything"})
    assert found.verdict is Verdict.BROKEN
    assert "between 99.38% and 99.68%" in found.summary
    assert "at any number of seeds" in found.notes[1]
    assert of_counts(*FLAGSHIP, stopping={}, rule=MinAccuracy(limit=0.9937)).verdict is Verdict.KEPT


@pytest.mark.parametrize(("correct", "verdict"), [(9940, Verdict.KEPT), (9939, Verdict.BROKEN)])
def test_an_artifact_is_compared_exactly(correct, verdict):
    found = of_counts(correct, 1, rule=MinAccuracy(limit=0.994, mode="artifact"))
    assert found.verdict is verdict
    assert f"the checkpoint gives {correct:,} of 10,000 correct, 99.{correct % 100}%, limit 99.40%" == found.summary
    assert (found.found, found.limit, found.unit) == (correct / 10_000, 0.994, "test accuracy of the checkpoint")


def test_an_artifact_says_what_it_means_for_other_data():
    assert "of the population behind it 99.23% to 99.54% (Clopper-Pearson, 95%)" in of_counts(
        9940, rule=MinAccuracy(limit=0.994, mode="artifact")
    ).notes[0]  # fmt: skip


def test_five_seeds_bound_the_median_by_their_largest():
    """All of five fair coins fall the same way with probability 1/32: 96.875 %."""
    found = of_epochs(9, 11, 10, 15, 8)
    assert found.verdict is Verdict.KEPT
    assert found.summary == (
        "validation accuracy 99.00% after 10 epochs in the median of 5 seeds, at most 15 (96.8% sure), limit 15"
    )
    assert (found.found, found.limit, found.unit) == (10.0, 15, "epochs to a validation accuracy of 99.00%")
    assert found.notes[0] == "5 seeds: 8, 9, 10, 11, 15"


@pytest.mark.parametrize(
    ("epochs", "says"),
    [
        ((16, 17, 18, 19, 20), "validation accuracy 99.00% after 18 epochs in the median of 5 seeds, at least 16"),
        ((0,) * 5, "validation accuracy 99.00% never in the median of 5 seeds, at least never"),
        ((8, 9, 10, 11), "undecided: validation accuracy 99.00% after 9.5 epochs in the median of 4 seeds, limit 15; "
                         "needs more seeds: about 7 in all"),
        ((8, 9, 10, 11, 0), "between 8 and never (96.8% sure of each), limit 15; needs more seeds: about"),
        ((8, 0), "needs more seeds: more than 1,000"),
    ],
)  # fmt: skip
def test_a_median_beyond_the_limit_or_undecided_breaks_the_rule(epochs, says):
    found = of_epochs(*epochs)
    assert found.verdict is Verdict.BROKEN
    assert says in found.summary


def test_a_median_of_seeds_that_were_stopped_takes_seven():
    assert of_epochs(*range(1, 7), stopping={"procedure": "x"}).verdict is Verdict.BROKEN
    assert of_epochs(*range(1, 8), stopping={"procedure": "x"}).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("epochs", "reached"),
    [
        ([{"validation_accuracy": 0.98}, {}, {"validation_accuracy": 0.99}], "3"),
        ([{"validation_accuracy": 1}], "1"),
        ([{"validation_correct": 989, "validation_total": 1000}], "never"),
    ],
)
def test_how_an_epoch_states_its_validation_accuracy(epochs, reached):
    rule = MinAccuracy(limit=0.99, mode="epochs-to-target", within_epochs=15)
    assert outcome(*(run(seed, epochs=epochs) for seed in range(5)), rule=rule).notes[0].endswith(
        ": " + ", ".join([reached] * 5)
    )  # fmt: skip


def test_a_run_without_validation_has_reached_nothing_and_is_named():
    found = of_epochs(1, 2, 3, 4)
    assert found.verdict is Verdict.BROKEN
    rule = MinAccuracy(limit=0.99, mode="epochs-to-target", within_epochs=15)
    found = outcome(run(0, epochs=[{"validation_accuracy": "0.99"}]), rule=rule)
    assert "seed 0 has no validation accuracy: its trainer must yield `validation_correct`" in found.summary


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"confidence": 1.0}, "`confidence` is a share above 0.5 and below 1, found 1"),
        ({"confidence": 0.5}, "found 0.5"),
        ({"within_epochs": 0}, "`within-epochs` must be at least 1"),
        ({"mode": "epochs-to-target"}, "needs `within-epochs`"),
        ({"mode": "artifact", "seeds": 2}, 'mode "artifact" judges one checkpoint'),
    ],
)
def test_parameters_that_mean_nothing_are_refused(parameters, says):
    with pytest.raises(ValueError, match=says):
        MinAccuracy(limit=0.9, **parameters)
