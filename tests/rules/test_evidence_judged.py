"""What the rules of evidence say of a trial, word for word; `test_evidence.py` runs the trainers that show it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import measure
from archcheck.rules import AugmentationReachesTheBatch, HeldOutTestIsDisjoint
from archcheck.rules.findings import Finding, Result

FACTS = measure(nn.Linear(2, 2), example=torch.zeros(1, 2))
THERE = Where(file="trainers.py", line=7)
NOTHING = {"count": 0, "first": [], "of": 40}
SPLIT = "train and choose on a part of the training data, and show the test set to `evaluate` alone"
DECLARE = 'name a function under `training` that returns the sets: `data = "pkg.mod:samples"`'


def trial(**changes):
    """Two epochs of 2,000 samples, 1,000 different ones each, all of them shown twice."""
    epochs = [{"samples": 2000, "distinct": 1000}, {"samples": 1900, "distinct": 1000}]
    where = {"file": "trainers.py", "line": 7}
    whole = {"problem": None, "where": where, "limit": None, "epochs": epochs, "again": 1000, "evaluated": 1200}
    return {**whole, **changes}


def held(**changes):
    whole = {"problem": None, "whole": True, "declared": None, "samples": 3000, "constant": 0}
    return {**whole, "trained": NOTHING, "evaluated": NOTHING, **changes}


def declared(*overlaps, **strange):
    sizes = {"train": 5000, "validation": 1500, "test": 3000}
    return {
        "sets": {name: {"samples": size, "constant": 0} for name, size in sizes.items()},
        "overlaps": list(overlaps),
        "strange": {"test": NOTHING, "trained": NOTHING, "evaluated": NOTHING, **strange},
    }


def overlap(count, first, of="test", among="train"):
    return {"of": of, "among": among, "count": count, "first": first}


def judged(rule, trial, held=None, facts=FACTS):
    return rule.check(replace(facts, behaviour={"trial": trial, "held-out": held}))


def refusal(rule, trial, held=None, facts=FACTS):
    with pytest.raises(NotMeasured) as caught:
        judged(rule, trial, held, facts)
    return str(caught.value), caught.value.where, caught.value.fix


# --- augmentation-reaches-the-batch ---------------------------------------------------------------------------------


def test_a_trainer_that_repeats_itself_breaks_it():
    message = "1,000 of 1,000 samples of the second epoch came in the first, bit for bit"
    assert judged(AugmentationReachesTheBatch(), trial()) == Result(
        examined=1000,
        findings=(
            Finding(
                message=f"{message}; limit 75%",
                where=THERE,
                fix="draw the augmentation again for each batch, and give each subset a dataset object of its own",
            ),
        ),
        found=1.0,
        limit=0.75,
        unit="share of samples that come again",
        kept=message,
        notes=("watched two epochs of 2,000 and 1,900 samples",),
    )


@pytest.mark.parametrize(("again", "broken"), [(750, False), (751, True)])
def test_as_many_as_the_limit_says_may_come_again(again, broken):
    result = judged(AugmentationReachesTheBatch(), trial(again=again))
    assert (bool(result.findings), result.found) == (broken, again / 1000)


def test_no_sample_may_come_again_where_the_limit_is_zero():
    (finding,) = judged(AugmentationReachesTheBatch(repeated=0.0), trial(again=1)).findings
    assert finding.message == "1 of 1,000 samples of the second epoch came in the first, bit for bit; limit 0%"


@pytest.mark.parametrize("sizes", [(0, 1000), (1000, 0)])
def test_an_epoch_of_nothing_shows_nothing(sizes):
    epochs = [{"samples": size, "distinct": size} for size in sizes]
    assert refusal(AugmentationReachesTheBatch(), trial(epochs=epochs)) == (
        "one of the two epochs of the trial trained on nothing",
        THERE,
        "see that `archcheck train Linear` runs",
    )


def test_more_than_two_epochs_of_one_sample_each_are_judged_by_the_first_two():
    epochs = [{"samples": 1, "distinct": 1}, {"samples": 1, "distinct": 1}, {"samples": 9, "distinct": 9}]
    result = judged(AugmentationReachesTheBatch(), trial(epochs=epochs, again=0, limit=512))
    assert result.notes == ("watched two epochs of 1 and 1 samples (`limit = 512`)",)
    assert (result.findings, result.kept) == (
        (),
        "0 of 1 sample of the second epoch came in the first, bit for bit",
    )


@pytest.mark.parametrize(("limit", "known"), [(None, False), (1999, False), (2000, True)])
def test_samples_that_never_come_again_are_new_only_where_the_set_is_cut(limit, known):
    seen = trial(again=0, limit=limit)
    if known:
        assert judged(AugmentationReachesTheBatch(), seen).found == 0.0
        return
    assert refusal(AugmentationReachesTheBatch(), seen) == (
        "no sample came twice in two epochs, so it is unknown whether they are new",
        THERE,
        "let the trainer take `limit`, which cuts its sets to that many samples",
    )


def test_the_larger_of_the_two_epochs_is_held_against_the_limit():
    epochs = [{"samples": 10, "distinct": 10}, {"samples": 11, "distinct": 11}]
    assert "unknown whether" in refusal(AugmentationReachesTheBatch(), trial(epochs=epochs, again=0, limit=10))[0]


@pytest.mark.parametrize("share", [-0.01, 1.0, 1.5])
def test_what_is_no_share_or_any_trainer_keeps_is_refused(share):
    message = f"`repeated` is a share from 0 to below 1 (0.75 for 75 %), found {share:g}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AugmentationReachesTheBatch(repeated=share)


def test_the_fields_that_all_rules_have_are_checked():
    with pytest.raises(ValueError, match="`points` must be positive"):
        AugmentationReachesTheBatch(points=-1.0)


# --- what could not be watched --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [AugmentationReachesTheBatch(), HeldOutTestIsDisjoint()])
def test_a_trial_that_failed_is_told_with_the_line_of_the_trainer(rule):
    assert refusal(rule, trial(problem="out of luck"), held()) == (
        "out of luck",
        THERE,
        "see that `archcheck train Linear` runs",
    )


def test_a_trainer_that_is_nowhere_is_told_at_the_subject():
    there = Where(file="net.py", line=3)
    facts = replace(FACTS, subject=replace(FACTS.subject, where=there))
    assert refusal(AugmentationReachesTheBatch(), trial(problem="no trainer", where=None), facts=facts)[1] == there


def test_what_was_never_watched_is_not_judged():
    there = Where(file="net.py", line=3)
    facts = replace(FACTS, subject=replace(FACTS.subject, where=there))
    assert refusal(AugmentationReachesTheBatch(), None, facts=facts) == (
        "no trainer was watched; judge through a contract that names it",
        there,
        None,
    )


def test_a_model_without_memory_was_not_trained():
    facts = replace(FACTS, subject=replace(FACTS.subject, meta=True))
    assert "this takes real numbers" in refusal(AugmentationReachesTheBatch(), trial(), facts=facts)[0]


def test_an_evaluation_that_failed_is_told():
    assert refusal(HeldOutTestIsDisjoint(), trial(), held(problem="no `evaluate`"))[0] == "no `evaluate`"


# --- held-out-test-is-disjoint --------------------------------------------------------------------------------------


def test_a_test_set_that_nobody_else_sees_keeps_it():
    assert judged(HeldOutTestIsDisjoint(), trial(), held()) == Result(
        examined=1,
        found=0,
        limit=0,
        unit="test samples among the others",
        kept="none of 3,000 test samples is among 1,000 that train the model",
        notes=(
            "watched two epochs of 2,000 and 1,900 samples, 1,200 evaluated between them",
            "`evaluate` showed 3,000 samples",
        ),
    )


def test_those_that_train_the_model_are_those_of_the_first_epoch():
    epochs = [{"samples": 2000, "distinct": 1000}, {"samples": 2000, "distinct": 1001}]
    kept = judged(HeldOutTestIsDisjoint(), trial(epochs=epochs), held()).kept
    assert kept == "none of 3,000 test samples is among 1,000 that train the model"


def test_every_leak_is_a_finding_at_the_trainer_and_the_largest_is_what_was_found():
    leaky = held(
        trained={"count": 2, "first": [0, 3]},
        evaluated={"count": 1300, "first": [0, 1, 2, 3, 4]},
        declared=declared(overlap(1000, [5, 6, 7, 8, 9]), overlap(0, [], among="validation")),
    )
    result = judged(HeldOutTestIsDisjoint(), trial(), leaky)
    assert (result.found, result.limit) == (1300, 0)
    assert [(finding.where, finding.fix) for finding in result.findings] == [(THERE, SPLIT)] * 3
    assert [finding.message for finding in result.findings] == [
        "2 of the 3,000 test samples are among those that train the model: number 0, 3 of what `evaluate` shows",
        "1,300 of the 3,000 test samples are among those that the trainer evaluates on: "
        "number 0, 1, 2, 3, 4, … of what `evaluate` shows",
        "1,000 of the 3,000 test samples are among `train`: number 5, 6, 7, 8, 9, … of `test`",
    ]


def test_what_is_seen_and_not_declared_is_a_finding_each():
    strange = {kind: {"count": 1000, "first": [1], "of": 2000} for kind in ("test", "trained", "evaluated")}
    result = judged(HeldOutTestIsDisjoint(limit=5000), trial(), held(declared=declared(**strange)))
    assert [finding.message for finding in result.findings] == [
        "1,000 of 2,000 samples that `evaluate` shows are not in the declared `test`: number 1, … as they come",
        "1,000 of 2,000 samples that train the model are in no declared set: number 1, … as they come",
        "1,000 of 2,000 samples that the trainer evaluates on are in no declared set: number 1, … as they come",
    ]


@pytest.mark.parametrize(("again", "distinct", "told"), [(750, 1000, 1), (749, 1000, 0), (0, 0, 0)])
def test_samples_that_change_on_their_way_are_no_strangers(again, distinct, told):
    epochs = [{"samples": 1000, "distinct": 1000}, {"samples": 1000, "distinct": distinct}]
    strange = declared(trained={"count": 1, "first": [0], "of": 9})
    result = judged(HeldOutTestIsDisjoint(), trial(epochs=epochs, again=again), held(declared=strange))
    assert len(result.findings) == told
    trust = "what trains the model changes on its way there: that it is the declared `train` is taken on trust"
    assert (trust in result.notes) is not bool(told)


@pytest.mark.parametrize(
    ("seen", "shown", "says"),
    [
        ({"again": 749}, {}, "samples change before they train the model, so no test sample is told among them"),
        ({"limit": 1512}, {}, "no more than 1,512 training samples were seen in a trial"),
        ({}, {"whole": False}, "no more than 3,000 test samples were seen in time"),
    ],
)
def test_what_shows_too_little_needs_declared_data(seen, shown, says):
    rule = HeldOutTestIsDisjoint()
    assert refusal(rule, trial(**seen), held(**shown)) == (says, THERE, DECLARE)
    assert not judged(rule, trial(**seen), held(**shown, declared=declared())).findings
    assert judged(rule, trial(**seen), held(**shown, trained={"count": 1, "first": [0]})).findings


@pytest.mark.parametrize(("limit", "broken"), [(1199, 1), (1200, 0)])
def test_duplicates_that_are_known_are_allowed(limit, broken):
    shown = held(trained={"count": 1200, "first": [0]})
    result = judged(HeldOutTestIsDisjoint(limit=limit), trial(), shown)
    assert len(result.findings) == broken
    assert result.kept == (f"1,200 of 3,000 test samples among 1,000 that train the model, {limit:,} are allowed")


def test_the_declared_sets_are_told_by_name_and_what_they_share():
    shown = held(
        whole=False,
        constant=1100,
        samples=2900,
        declared=declared(
            overlap(1000, [0], of="train", among="validation"), overlap(0, [], of="validation", among="extra")
        ),
    )
    result = judged(HeldOutTestIsDisjoint(), trial(limit=512), shown)
    assert result.kept == "none of 3,000 test samples is among 5,000 of `train`, 1,500 of `validation`"
    assert result.notes == (
        "watched two epochs of 2,000 and 1,900 samples (`limit = 512`), 1,200 evaluated between them",
        "`evaluate` showed 2,900 samples in time, not all, 1,100 of them constant",
        "1,000 samples of `train` are in `validation`, too",
    )


def test_an_overlap_with_the_test_set_is_no_note():
    shown = held(declared=declared(overlap(1, [4])))
    result = judged(HeldOutTestIsDisjoint(limit=1), trial(), shown)
    assert (result.findings, result.found) == ((), 1)
    assert not [note for note in result.notes if "too" in note]
