"""Whether augmentation reaches the batch and the test set is held out: each fault planted in a trainer that runs."""

from __future__ import annotations

import pytest

from archcheck.contract import load
from archcheck.judging.engine import check_contract
from archcheck.rules.findings import Verdict
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import Worker
from tests.support.evidence_samples import write_project

AUGMENTATION, HELD_OUT = "augmentation-reaches-the-batch", "held-out-test-is-disjoint"


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def judged(worker, tmp_path):
    def judge(**project):
        write_project(tmp_path, **project)
        (report,) = check_contract(load(tmp_path / "archcheck.toml"), worker=worker)
        assert report.error is None, report.error
        return {outcome.rule: outcome for outcome in report.outcomes}

    return judge


@pytest.mark.parametrize(
    ("train", "verdict", "says"),
    [
        ("clean", Verdict.KEPT, "0 of 30 samples of the second epoch came in the first, bit for bit"),
        ("flips", Verdict.KEPT, " of 30 samples of the second epoch came in the first"),
        ("hooked", Verdict.KEPT, "0 of 30 samples"),
        (
            "overwritten",
            Verdict.BROKEN,
            "30 of 30 samples of the second epoch came in the first, bit for bit; limit 75%",
        ),
        ("cached", Verdict.BROKEN, "30 of 30 samples"),
        ("plain", Verdict.BROKEN, "30 of 30 samples"),
        ("wrapped", Verdict.BROKEN, "30 of 30 samples"),
        ("fresh", Verdict.ERROR, "no sample came twice in two epochs, so it is unknown whether they are new"),
        ("fresh_despite_limit", Verdict.ERROR, "no sample came twice in two epochs"),
        ("one_epoch", Verdict.ERROR, "was asked for 2 epochs and ended after 1"),
        ("parts", Verdict.ERROR, "never calls the model that it is given"),
        ("never_trains", Verdict.ERROR, "never trains the model that it is given"),
        ("fails", Verdict.ERROR, "in a trial `trainers.py:fails` failed: RuntimeError: out of luck"),
        ("exits", Verdict.ERROR, "in a trial `trainers.py:exits` failed: SystemExit: 3"),
    ],
)
def test_whether_augmentation_reaches_the_batch(train, verdict, says, judged):
    outcome = judged(train=train)[AUGMENTATION]
    assert outcome.verdict is verdict, outcome.summary
    assert says in (outcome.kept or outcome.summary)


def test_the_finding_is_at_the_trainer(judged):
    (finding,) = judged(train="overwritten")[AUGMENTATION].findings
    assert finding.where.file == "trainers.py"
    assert "a dataset object of its own" in finding.fix


def test_a_compiled_model_is_seen(judged):
    assert judged(train="compiled")[AUGMENTATION].found == 1.0


@pytest.mark.parametrize(
    ("train", "verdict", "says"),
    [
        ("plain", Verdict.KEPT, "none of 20 test samples is among 30 that train the model"),
        (
            "leaky",
            Verdict.BROKEN,
            "2 of the 20 test samples are among those that train the model: number 0, 3 of what `evaluate` shows",
        ),
        ("chosen", Verdict.BROKEN, "19 of the 20 test samples are among those that the trainer evaluates on"),
        ("averaged", Verdict.BROKEN, "19 of the 20 test samples are among those that the trainer evaluates on"),
        ("no_modes", Verdict.BROKEN, "19 of the 20 test samples are among those that the trainer evaluates on"),
        ("hidden_leak", Verdict.ERROR, "samples change before they train the model"),
        ("clean", Verdict.ERROR, "samples change before they train the model"),
        ("plain_cut", Verdict.ERROR, "no more than 512 training samples were seen in a trial"),
        ("fails", Verdict.ERROR, "out of luck"),
    ],
)
def test_whether_what_runs_shows_a_test_sample_to_training(train, verdict, says, judged):
    outcome = judged(train=train)[HELD_OUT]
    assert outcome.verdict is verdict, outcome.summary
    assert says in (outcome.kept or outcome.summary)


@pytest.mark.parametrize(
    ("train", "data", "verdict", "says"),
    [
        ("clean", "sets", Verdict.KEPT, "none of 20 test samples is among 30 of `train`, 10 of `validation`"),
        ("plain_cut", "pairs", Verdict.KEPT, "none of 20 test samples is among 30 of `train`, 10 of `validation`"),
        ("clean", "leaky_sets", Verdict.BROKEN, "1 of the 20 test samples are among `train`: number 5 of `test`"),
        ("leaky", "sets", Verdict.BROKEN, "2 of the 20 test samples are among those that train the model"),
        (
            "clean",
            "other_sets",
            Verdict.BROKEN,
            "10 of 20 samples that `evaluate` shows are not in the declared `test`",
        ),
        ("plain_cut", "short_sets", Verdict.BROKEN, "20 samples that the trainer evaluates on are in no declared set"),
        (
            "other_validation",
            "sets",
            Verdict.BROKEN,
            "20 of 20 samples that the trainer evaluates on are in no declared",
        ),
        ("clean", "no_sets", Verdict.ERROR, "`trainers.py:no_sets` gave a list; it must give a mapping"),
        ("clean", "missing", Verdict.ERROR, "there is no `missing`"),
    ],
)
def test_whether_declared_data_are_disjoint_and_those_that_run(train, data, verdict, says, judged):
    outcome = judged(train=train, data=data)[HELD_OUT]
    assert outcome.verdict is verdict, outcome.summary
    assert says in (outcome.kept or "\n".join(finding.message for finding in outcome.findings))


def test_every_set_that_holds_a_test_sample_is_told(judged):
    messages = [finding.message for finding in judged(train="clean", data="leaky_sets")[HELD_OUT].findings]
    assert messages == [
        "1 of the 20 test samples are among `train`: number 5 of `test`",
        "4 of the 20 test samples are among `validation`: number 0, 1, 2, 3 of `test`",
    ]


def test_what_was_and_was_not_looked_at_is_told(judged):
    notes = judged(train="clean", data="mixed_sets")[HELD_OUT].notes
    assert notes == (
        "watched two epochs of 30 and 30 samples (`limit = 512`), 20 evaluated between them",
        "`evaluate` showed 20 samples, 1 of them constant",
        "what trains the model changes on its way there: that it is the declared `train` is taken on trust",
        "5 samples of `train` are in `validation`, too",
    )


def test_so_many_known_duplicates_are_allowed_and_no_more(judged):
    kept = judged(train="leaky", rule="2")[HELD_OUT]
    assert kept.verdict is Verdict.KEPT
    assert kept.kept == "2 of 20 test samples among 33 that train the model, 2 are allowed"
    assert judged(train="leaky", rule="1")[HELD_OUT].verdict is Verdict.BROKEN


def test_a_trial_is_remembered_and_one_that_failed_is_not(tmp_path):
    cache = Cache(tmp_path / "cache")

    def entries(train):
        write_project(tmp_path, train=train)
        with Worker(cache=cache) as worker:
            list(check_contract(load(tmp_path / "archcheck.toml"), worker=worker))
        return len(list((tmp_path / "cache").glob("*.json")))

    assert entries("fails") == 0
    assert entries("plain") == 1
