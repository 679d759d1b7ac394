"""What the rules on records of a training say, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.facts.records import Training
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import measure
from archcheck.rules import MinAccuracy, RecordMatchesModel
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.figures import figure_text

FACTS = measure(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Dropout(0.25)), example=torch.zeros(1, 2))
FACTS = replace(FACTS, subject=replace(FACTS.subject, name="net", where=Where(file="net.py", line=3)))
THERE = Where(file="record.json", line=1)
AGAIN = "move the record and the checkpoint away and train again (`archcheck train net`)"
ANEW = f"{AGAIN}, or bring back what was trained"
BETTER = f"improve the recipe: {AGAIN}, or lower what min-accuracy asks for"
SHORTER = f"let the trainer take fewer epochs: {AGAIN}, or raise `within-epochs`"
FIRST = "train it: `archcheck train net`"


def run(seed, correct=9_500, epochs=2, **changes):
    counted = [{"epoch": number + 1} for number in range(epochs)]
    return {
        "seed": seed,
        "epochs": counted,
        "selected": "last",
        "test": {"correct": correct, "total": 10_000},
        **changes,
    }


def trained(*runs, fresh=None, mismatches=(), record_file="record.json", problem=None, **record):
    correct, total = fresh or (None, None)
    whole = {"schema": 1, "runs": list(runs), "checkpoint": {"seed": 0}, **record}
    training = Training(
        record_file=record_file,
        record=whole if runs else None,
        mismatches=mismatches,
        correct=correct,
        total=total,
        checkpoint_problem=problem,
    )
    return replace(FACTS, training=training)


def finding(message, fix=ANEW):
    return Finding(message=message, where=THERE, fix=fix)


def refusal(call):
    with pytest.raises(NotMeasured) as caught:
        call()
    return str(caught.value), caught.value.where, caught.value.fix


@pytest.mark.parametrize(("correct", "shown", "bounds"), [(9_500, "95.00", "94.55% to 95.42%"), (9_499, "94.99", None)])
def test_a_checkpoint_is_judged_by_its_own_count(correct, shown, bounds):
    result = MinAccuracy(limit=0.95, mode="artifact").check(trained(run(0), run(1), fresh=(correct, 10_000)))
    message = f"the checkpoint gives {correct:,} of 10,000 correct, {shown}%, limit 95.00%"
    assert result == Result(
        examined=1,
        findings=() if bounds else (finding(message, BETTER),),
        found=correct / 10_000,
        limit=0.95,
        unit="test accuracy of the checkpoint",
        kept=message,
        notes=(
            f"exact, of this checkpoint on this test set; of the population behind it {bounds or '94.54% to 95.41%'} "
            "(Clopper-Pearson, 95%)",
            f"the checkpoint gives {correct:,} of 10,000 on the test set",
        ),
    )


# Of 94, 94.5 and 95 %: the mean is 94.5 %, and one step of Student's t to either side 2.92 * 0.5 % / sqrt(3) = 0.843 %.
@pytest.mark.parametrize(
    ("limit", "message", "findings"),
    [
        (0.9, "mean test accuracy 94.50% over 3 seeds, at least 93.66% (95% sure), limit 90.00%", 0),
        (0.96, "mean test accuracy 94.50% over 3 seeds, at most 95.34% (95% sure), limit 96.00%", 1),
    ],
)
def test_a_recipe_is_judged_by_the_mean_over_its_seeds(limit, message, findings):
    runs = [run(seed, correct) for seed, correct in enumerate((9_400, 9_500, 9_450))]
    assert MinAccuracy(limit=limit).check(trained(*runs, fresh=(9_400, 10_000))) == Result(
        examined=1,
        findings=(finding(message, BETTER),) * findings,
        found=0.945,
        limit=limit,
        unit="mean test accuracy",
        kept=message,
        notes=(
            "3 seeds, 94.00% to 95.00%, standard deviation 0.500%",
            "bounds 93.66% and 95.34%, each 95% sure by Student's t, their number chosen beforehand",
            "the checkpoint gives 9,400 of 10,000 on the test set",
        ),
    )


def test_what_is_undecided_needs_more_seeds():
    runs = [run(seed, correct) for seed, correct in enumerate((9_400, 9_600, 9_550))]
    (found,) = MinAccuracy(limit=0.95).check(trained(*runs, fresh=(9_400, 10_000))).findings
    assert found.message.startswith(
        "undecided: mean test accuracy 95.17% over 3 seeds, between 93.41% and 96.92% (95% sure of each), limit 95.00%"
    )
    assert found.fix == "add seeds until it is decided (`archcheck train net --until-decided`)"
    assert found.where == THERE


def test_one_seed_decides_nothing_and_a_checkpoint_that_is_missing_is_told():
    assert MinAccuracy(limit=0.95).check(trained(run(0, 9_600), problem="no file")) == Result(
        examined=1,
        findings=(finding("no file"),),
        found=0.96,
        limit=0.95,
        unit="mean test accuracy",
        kept="undecided: mean test accuracy 96.00% over 1 seed, limit 95.00%; needs more seeds: one gives no bound",
        notes=("1 seed, 96.00% to 96.00%", "no bounds yet by Student's t, their number chosen beforehand"),
    )


def test_fewer_seeds_than_are_promised_are_told():
    fix = "train further seeds, each with `archcheck train net`, or lower `seeds`"
    findings = MinAccuracy(limit=0.9, seeds=3).check(trained(run(0), run(1, 9_510), fresh=(9_500, 10_000))).findings
    assert findings == (finding("the record holds 2 seeds, 3 are promised", fix),)


def test_all_that_is_wrong_with_a_record_is_told():
    runs = (run(0), run(1, selected="best"), run(1, epochs=0), run(3, test={"correct": 3, "total": 2_000}))
    facts = trained(*runs, run(4, test=None), fresh=(9_500, 10_000))
    result = MinAccuracy(limit=0.95, within_epochs=1).check(facts)
    assert result.findings == tuple(
        finding(message, SHORTER if message.endswith("are allowed") else ANEW)
        for message in (
            "the record holds a seed twice",
            "the seeds were judged on test sets of different sizes: 2,000 and 10,000",
            "seed 0 trained 2 epochs, 1 are allowed",
            "seed 1 trained 2 epochs, 1 are allowed",
            'seed 1 has a result chosen by "best", not that of the last epoch',
            "seed 1 records no epochs",
            "seed 3 trained 2 epochs, 1 are allowed",
            "seed 4 trained 2 epochs, 1 are allowed",
            "seed 4 has no result on the test set",
        )
    )
    assert (result.found, result.unit, result.kept, result.examined) == (None, None, None, 1)
    assert result.notes == ("the checkpoint gives 9,500 of 10,000 on the test set",)


def test_a_record_without_a_file_is_told_at_the_subject():
    facts = trained(run(0), run(0), fresh=(9_500, 10_000), record_file=None)
    assert [found.where for found in MinAccuracy(limit=0.9).check(facts).findings] == [FACTS.subject.where]


@pytest.mark.parametrize("mismatches", [(), ("the recipe differs", "the data differ")])
def test_every_mismatch_of_a_record_is_a_finding(mismatches):
    assert RecordMatchesModel().check(trained(run(0), mismatches=mismatches)) == Result(
        examined=1, findings=tuple(map(finding, mismatches)), kept="the record is of this model"
    )


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        (FACTS, ("the training record was not read; judge through a contract that names it", None, None)),
        (trained(), ("there is no record `record.json`", THERE, FIRST)),
        (
            trained(record_file=None),
            ("there is no record of a training run", None, f"name a file as `record` under `training`, and {FIRST}"),
        ),
        (trained(mismatches=("it is no JSON",)), ("it is no JSON", THERE, ANEW)),
        (trained(3), ("the record holds no run", THERE, ANEW)),
    ],
)
def test_what_is_no_record_is_told(facts, refused):
    assert refusal(lambda: MinAccuracy(limit=0.9).check(facts)) == refused
    assert refusal(lambda: RecordMatchesModel().check(facts)) == refused


def test_a_record_of_another_model_proves_nothing():
    facts = trained(run(0), mismatches=("it is of another model",))
    expected = "it is of another model, so it proves nothing", THERE, ANEW
    assert refusal(lambda: MinAccuracy(limit=0.9).check(facts)) == expected
    assert refusal(lambda: figure_text("training.accuracy", facts)) == expected


def test_a_record_that_says_nothing_of_runs_holds_none():
    training = replace(trained(run(0)).training, record={"schema": 1})
    told = ("the record holds no run", THERE, ANEW)
    assert refusal(lambda: MinAccuracy(limit=0.9).check(replace(FACTS, training=training))) == told


def test_a_record_without_a_file_that_does_not_match_is_told_at_the_subject():
    (found,) = RecordMatchesModel().check(trained(run(0), record_file=None, mismatches=("it differs",))).findings
    assert found.where == FACTS.subject.where


def messages(rule, facts):
    return [found.message for found in rule.check(facts).findings]


ARTIFACT = MinAccuracy(limit=0.9, mode="artifact", within_epochs=2)


# One in 2,000 may change sides: 5 of 10,000.
@pytest.mark.parametrize(
    ("correct", "says"),
    [
        (9_505, []),
        (9_495, []),
        (9_506, ["the checkpoint gives 9,506 of 10,000 correct, the record says 9,500 of 10,000"]),
    ],
)
def test_how_far_a_checkpoint_may_be_from_its_record(correct, says):
    assert messages(ARTIFACT, trained(run(0), fresh=(correct, 10_000))) == says


def test_a_checkpoint_that_was_evaluated_on_nothing_contradicts_its_record():
    result = ARTIFACT.check(trained(run(0), fresh=(0, 0)))
    assert result.findings == (finding("the checkpoint gives 0 of 0 correct, the record says 9,500 of 10,000"),)
    assert (result.found, result.notes) == (None, ())


def test_a_checkpoint_of_no_recorded_seed_is_told():
    facts = trained(run(0), fresh=(9_500, 10_000), checkpoint={"seed": 7})
    assert messages(ARTIFACT, facts) == ["the record does not say which seed the checkpoint is of"]


def test_a_run_that_gets_nothing_right_has_a_result():
    assert messages(ARTIFACT, trained(run(0, 0), fresh=(0, 10_000))) == [
        "the checkpoint gives 0 of 10,000 correct, 0.00%, limit 90.00%"
    ]
