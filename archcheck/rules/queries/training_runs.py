"""Read the runs of a training record, and check whether they prove anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.records import Training
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import quote

TOLERATED = 0.0005
"""Share of the test set by which a fresh evaluation may differ from the recorded count: processors round
differently, and an image on the border between two classes may change sides."""

Run = Mapping[str, Any]


def recorded_training(facts: Facts) -> Training:
    """Return the training facts. Raises `NotMeasured` if there is no record that can be judged."""
    training = facts.training
    if training is None:
        raise NotMeasured("the training record was not read; judge through a contract that names it")
    if training.record is None:
        named = f"`{training.record_file}`" if training.record_file else "of a training run"
        begin = "" if training.record_file else "name a file as `record` under `training`, and "
        missing = NotMeasured(
            f"there is no record {named}",
            where=place_of(training, facts) if training.record_file else None,
            fix=f"{begin}train it: `archcheck train {facts.subject.name}`",
        )
        raise _unproven(training.mismatches[0], training, facts) if training.mismatches else missing
    if not runs_of(training.record):
        raise _unproven("the record holds no run", training, facts)
    return training


def proven_training(facts: Facts) -> Training:
    """Return the training facts. Raises `NotMeasured` if there is no record of this model."""
    training = recorded_training(facts)
    if training.mismatches:
        raise _unproven(f"{training.mismatches[0]}, so it proves nothing", training, facts)
    return training


def recorded(facts: Facts) -> Mapping[str, Any]:
    """Return the record. Raises `NotMeasured` if there is none of this model."""
    return proven_training(facts).record or {}


def accuracies(facts: Facts) -> tuple[Fraction, ...]:
    """Return the test accuracy of each recorded seed, exactly.

    Raises `NotMeasured` where the record is of another model or flawed, or where the checkpoint, if it was evaluated,
    contradicts it.
    """
    facts.demand_numbers()
    training = proven_training(facts)
    runs = runs_of(training.record)
    faults = [*faults_of_runs(runs), *(checkpoint_faults(training) if training.correct is not None else ())]
    if faults:
        raise _unproven(faults[0], training, facts)
    return tuple(Fraction(run["test"]["correct"], run["test"]["total"]) for run in runs)


def _unproven(message: str, training: Training, facts: Facts) -> NotMeasured:
    return NotMeasured(message, where=place_of(training, facts), fix=fix_of(facts))


def place_of(training: Training, facts: Facts) -> Where | None:
    """Return the place for findings about the record: its file, or the subject."""
    return Where(file=training.record_file, line=1) if training.record_file else facts.subject.where


def fix_of(facts: Facts) -> str:
    """Return the next step if the record proves nothing."""
    return f"{anew(facts)}, or bring back what was trained"


def anew(facts: Facts) -> str:
    """Return how to train once more: nothing that is there is overwritten."""
    return f"move the record and the checkpoint away and train again (`archcheck train {facts.subject.name}`)"


def runs_of(record: Mapping[str, Any] | None) -> list[Run]:
    """Return the well-formed runs of a record."""
    return _tables((record or {}).get("runs"))


def epochs_of(run: Run) -> list[Mapping[str, Any]]:
    """Return the well-formed epochs of a run."""
    return _tables(run.get("epochs"))


def _tables(items: Any) -> list[Mapping[str, Any]]:
    """Return the tables in a list. A record that was read back from a report may hold anything."""
    return [each for each in items if isinstance(each, Mapping)] if isinstance(items, list | tuple) else []


def result_of(run: Run) -> tuple[int, int] | None:
    """Return the correct and all examples of the test set of a run; `None` without a result."""
    test = run.get("test")
    correct, total = (_count(test, "correct"), _count(test, "total")) if isinstance(test, Mapping) else (None, None)
    if correct is None or not total or correct > total:
        return None
    return correct, total


def _count(values: Mapping[str, Any], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def faults_of_runs(runs: Sequence[Run], within_epochs: int | None = None) -> Iterator[str]:
    """Yield why runs do not belong to one experiment, and then what each of them lacks."""
    if len({run.get("seed") for run in runs}) < len(runs):
        yield "the record holds a seed twice"
    sizes = sorted({result[1] for run in runs if (result := result_of(run)) is not None})
    if len(sizes) > 1:
        shown = " and ".join(f"{size:,}" for size in sizes)
        yield f"the seeds were judged on test sets of different sizes: {shown}"
    for run in runs:
        yield from (f"seed {run.get('seed')} {fault}" for fault in _faults_of(run, within_epochs))


def _faults_of(run: Run, within_epochs: int | None) -> Iterator[str]:
    epochs = run.get("epochs")
    count = len(epochs) if isinstance(epochs, list | tuple) else 0
    if count == 0:
        yield "records no epochs"
    if within_epochs is not None and count > within_epochs:
        yield f"trained {count} epochs, {within_epochs} are allowed"
    if run.get("selected", "last") != "last":
        yield f"has a result chosen by {quote(str(run['selected']))}, not that of the last epoch"
    if result_of(run) is None:
        yield "has no result on the test set"


def checkpoint_faults(training: Training) -> list[str]:
    """Return why the checkpoint does not confirm the record: it gives another count, or it cannot be tried."""
    if training.checkpoint_problem:
        return [training.checkpoint_problem]
    claimed = _claimed(training)
    if claimed is None:
        return ["the record does not say which seed the checkpoint is of"]
    assert training.correct is not None
    assert training.total is not None
    correct, total = claimed
    if training.total != total or abs(training.correct - correct) > TOLERATED * training.total:
        return [
            f"the checkpoint gives {training.correct:,} of {training.total:,} correct, "
            f"the record says {correct:,} of {total:,}"
        ]
    return []


def _claimed(training: Training) -> tuple[int, int] | None:
    seed = ((training.record or {}).get("checkpoint") or {}).get("seed")
    run = next((run for run in runs_of(training.record) if run.get("seed") == seed), None)
    return result_of(run) if run else None
