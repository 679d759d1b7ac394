"""`beats`: records of one's own and of others, in several formats, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from archcheck.contract import Stated
from archcheck.facts.records import Training
from archcheck.foundation.source_place import Where
from archcheck.foundation.text_files import Text, Texts
from archcheck.judging.engine import judge, measure
from archcheck.rules import Beats

FACTS = measure(nn.Linear(3, 4), example=torch.zeros(1, 3))
OLD, NEW, CLOSE = [1.231, 1.229, 1.230], [1.211, 1.209, 1.210], [1.223, 1.227, 1.215]


def record(*correct, total=10_000):
    return {
        "runs": [
            {"seed": seed, "epochs": [{}], "selected": "last", "test": {"correct": right, "total": total}}
            for seed, right in enumerate(correct)
        ],
        "checkpoint": {"seed": 0},
    }


def outcome(rule, *, trained=None, **files):
    texts = {
        f"{name}.json": Text(shown=f"{name}.json", content=each if isinstance(each, str) else json.dumps(each))
        for name, each in files.items()
    }
    training = trained and Training(record_file="own.json", record=trained, mismatches=())
    facts = replace(FACTS, texts=Texts(files=texts), training=training)
    return judge(facts, [Stated(rule=rule, instance="beats", where=Where(file="", line=0))])[0]


def beats(**options):
    return Beats(record="old.json", own="new.json", lower=True, by=0.005, **options)


@pytest.mark.parametrize(
    ("runs", "metric", "wrap"),
    [
        ("", None, lambda values: values),
        ("/runs", "loss", lambda values: {"runs": [{"loss": value} for value in values]}),
        ("/seeds", "val.loss", lambda values: {"seeds": {str(n): {"val": {"loss": v}} for n, v in enumerate(values)}}),
        ("/a~1b/0", "loss", lambda values: {"a/b": [[{"loss": value} for value in values]]}),
    ],
)
def test_numbers_are_found_by_pointer_and_path(runs, metric, wrap):
    rule = beats(runs=runs, metric=metric)
    kept = outcome(rule, old=wrap(OLD), new=wrap(NEW))
    assert kept.verdict == "kept"
    assert kept.kept.startswith("the mean of 3 runs is better by 0.02 (1.21 against 1.23 of 3 runs in old.json), p = ")
    chance = outcome(rule, old=wrap(OLD), new=wrap(CLOSE))
    assert chance.verdict == "broken"
    assert "better by 0.00833, which chance explains: p = 0.2" in chance.summary
    small = outcome(replace(rule, by=0.03), old=wrap(OLD), new=wrap(NEW))
    assert "better by 0.02, at least 0.03 is asked for" in small.summary
    worse = outcome(rule, old=wrap(NEW), new=wrap(OLD))
    assert "worse by 0.02, at least 0.005 is asked for" in worse.summary


def test_accuracies_of_the_own_record_are_compared_with_those_of_another():
    rule = Beats(record="old.json")
    assert outcome(rule, trained=record(9_940, 9_943, 9_941), old=record(9_920, 9_921, 9_922)).verdict == "kept"
    assert outcome(rule, trained=record(9_940, 9_910, 9_941), old=record(9_920, 9_921, 9_922)).verdict == "broken"


def test_equal_accuracies_are_rounded_ones():
    rule = Beats(record="old.json")
    assert outcome(rule, trained=record(9_941, 9_941), old=record(9_940, 9_940)).verdict == "broken"
    assert outcome(rule, trained=record(*[9_951] * 5), old=record(*[9_940] * 5)).verdict == "kept"


def test_an_entry_without_a_record_is_told_to_train():
    found = outcome(Beats(record="old.json"), old=record(9_920, 9_921))
    assert (found.verdict, "training record" in found.findings[0].message) == ("error", True)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"old": OLD}, '"new.json" was not read; judge through a contract in the folder of that file'),
        ({"old": OLD, "new": "[1.2, oops"}, "new.json is damaged: not JSON at line 1, column 7 (expecting value)"),
        ({"old": OLD, "new": 3}, 'new.json has no list of runs at ""'),
        ({"old": OLD, "new": [1.2]}, "new.json holds 1 run, and a spread needs two or more"),
        ({"old": OLD, "new": [1.2, 1.2]}, "all runs in new.json are the same, so nothing tells their spread"),
        ({"old": OLD, "new": [1.2, "x"]}, "run 1 in new.json has no number"),
        ({"old": OLD, "new": []}, "new.json holds 0 runs, and a spread needs two or more"),
    ],
)
def test_what_cannot_be_compared_is_an_error(files, says):
    found = outcome(beats(runs=""), **files)
    assert (found.verdict, found.findings[0].message) == ("error", says)


def test_tables_without_an_accuracy_need_a_metric():
    found = outcome(beats(runs=""), old=[{"loss": 1}, {"loss": 2}], new=[{"loss": 1}, {"loss": 2}])
    assert found.findings[0].message == "old.json records no accuracy; name the number of a run as `metric`"


def test_a_run_without_the_number_is_named():
    found = outcome(beats(runs="", metric="loss"), old=[{"loss": 1}, {"loss": 2}], new=[{"loss": 1}, {"lost": 2}])
    assert found.findings[0].message == 'run 1 in new.json has no number "loss"'


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"by": -1}, "`by` must be at least 0"),
        ({"level": 0.5}, "`level` is a share above 0 and below 0.5"),
        ({"level": 0}, "`level` is a share"),
        ({"runs": "runs"}, "`runs` is a JSON pointer"),
        ({"own": " "}, "name files"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Beats(record="old.json", **options)
