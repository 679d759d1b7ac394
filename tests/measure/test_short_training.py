"""A trial ends in time, reports what it could not see, and changes nothing."""

from __future__ import annotations

import os
import random
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from archcheck.measure.evidence import sample_watch, short_training
from archcheck.measure.loading.load import load_object

SCHOOL = """
import random
import torch
from torch import nn

NET = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))

def run(model, *, seed, epochs):
    for epoch in range(epochs):
        for step in range(3):
            random.random()
            model(torch.full((2, 3), float(step))).sum().backward()
            for parameter in model.parameters():
                parameter.data.add_(1.0)
        yield {}

def evaluate(model):
    model.eval()
    for step in range(10):
        model(torch.full((2, 3), 100.0 + step))
    return 1, 20

def blind(model):
    return 1, 20

def in_vain(model):
    raise ValueError("no data")

def opaque(model, *, seed, epochs):
    for epoch in range(epochs):
        torch.vmap(model, randomness="different")(torch.zeros(2, 4, 3)).sum().backward()
        yield {}
"""


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "school.py").write_text(SCHOOL)

    def ask(train="run", evaluate="evaluate"):
        training = {"train": train and f"school.py:{train}", "evaluate": evaluate and f"school.py:{evaluate}"}
        request = {"target": "school.py:NET", "root": str(tmp_path), "training": training}
        return short_training.trial({**request, "needs": ["trial", "held-out"]})

    return ask


@pytest.fixture
def clock(monkeypatch):
    """A clock that advances by one at each reading, so by one at each call of the model."""

    def patience(seconds):
        ticks = count()
        monkeypatch.setattr(sample_watch, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
        monkeypatch.setattr(short_training, "PATIENCE", seconds)

    return patience


def test_samples_are_counted_by_epoch(asked):
    found = asked()
    assert found["trial"]["epochs"] == [{"samples": 6, "distinct": 3}, {"samples": 6, "distinct": 3}]
    assert (found["trial"]["again"], found["trial"]["evaluated"]) == (3, 0)
    assert (found["held-out"]["samples"], found["held-out"]["whole"]) == (20, True)


def test_an_endless_epoch_is_ended(asked, clock):
    clock(2)
    found = asked()
    problem = (
        "`school.py:run` did not end its first epoch in 2 s; let it take `limit`, which cuts its sets to that many"
    )
    assert problem in found["trial"]["problem"]
    assert problem in found["held-out"]["problem"]


def test_an_unfinished_second_epoch_counts(asked, clock):
    clock(4)
    found = asked()["trial"]
    assert found["problem"] is None
    assert found["epochs"] == [{"samples": 6, "distinct": 3}, {"samples": 2, "distinct": 1}]


def test_an_endless_evaluation_is_reported_as_cut(asked, clock):
    clock(7)
    found = asked()["held-out"]
    assert (found["samples"], found["whole"], found["problem"]) == (14, False, None)


@pytest.mark.parametrize(
    ("evaluate", "says"),
    [
        ("blind", "`school.py:blind` never calls the model that it is given, so the test samples are unknown"),
        ("in_vain", "in a trial `school.py:in_vain` failed: ValueError: no data"),
    ],
)
def test_an_evaluation_that_shows_nothing_is_told(evaluate, says, asked):
    found = asked(evaluate=evaluate)
    assert found["trial"]["problem"] is None
    assert found["held-out"]["problem"] == says


def test_samples_without_numbers_are_told(asked):
    assert "what `school.py:opaque` gives the model could not be read" in asked(train="opaque")["trial"]["problem"]


def test_without_a_trainer_or_an_evaluation_there_is_nothing_to_watch(asked):
    assert "the contract names no `train`" in asked(train=None)["trial"]["problem"]
    assert "the contract names no `evaluate`" in asked(evaluate=None)["held-out"]["problem"]


def test_a_trial_leaves_nothing_behind(asked, monkeypatch, tmp_path):
    monkeypatch.delenv("TORCHDYNAMO_DISABLE", raising=False)
    states = torch.get_rng_state(), random.getstate()
    asked()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert "TORCHDYNAMO_DISABLE" not in os.environ
    net = load_object("school.py:NET", str(tmp_path))
    assert net.training
    assert not net._forward_hooks
    assert not net._forward_pre_hooks
    assert all(float(parameter.detach().abs().max()) < 1 for parameter in net.parameters())  # as it was initialised


def test_hooks_are_removed_with_the_watch():
    model = torch.nn.Linear(3, 2)
    seen = sample_watch.Watch()
    with seen.on(model, 60.0):
        model(torch.zeros(1, 3))
    model(torch.zeros(1, 3))
    assert len(seen.next_period().passes) == 1
