"""Training: what the record of a training run proves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import fmean
from typing import Any

from archcheck.errors import NotMeasured
from archcheck.facts import Facts
from archcheck.findings import Finding, Result
from archcheck.parts import Training
from archcheck.rule import Rule
from archcheck.where import Where
from archcheck.words import amount, quote

TOLERATED = 0.0005
"""Share of the test set by which a fresh evaluation may differ from the recorded count: processors round
differently, and an image on the border between two classes may change sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinAccuracy(Rule):
    """The mean test accuracy over the recorded seeds is at least `limit`, and the checkpoint reproduces its count.

    The record must belong to this model (see `record-matches-model`), hold at least `seeds` runs, none longer
    than `within-epochs`, each with its epochs and judged on the same test set after the last of them; the
    committed checkpoint is evaluated anew on that test set. Without a record, or with one of another model,
    there is nothing to judge: the verdict is `error`. `limit` is a share: 0.994 is 99.4 %, and so is `"99.4 %"`.

    In a contract: `min-accuracy = { limit = 0.994, within-epochs = 20, seeds = 3 }`
    """

    narrows = False
    needs = ("training",)
    limit: float = field(metadata={"unit": "share"})
    within_epochs: int | None = None
    seeds: int = 1

    def __post_init__(self) -> None:
        """Refuse a limit that is no share, and fewer than one seed."""
        Rule.__post_init__(self)
        if not 0 < self.limit <= 1:
            raise ValueError(f"`limit` is a share between 0 and 1 (0.994 for 99.4 %), found {self.limit:g}")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1, found {self.seeds}")

    def check(self, facts: Facts) -> Result:
        """Judge the record and the fresh evaluation."""
        facts.demand_numbers()
        training = _proven(facts)
        runs = _runs(training)
        faults = [*self._run_faults(runs), *_checkpoint_faults(training)]
        shares = [share for run in runs if (share := _share(run)) is not None]
        mean = fmean(shares) if shares else None
        if mean is not None and not faults and mean < self.limit:
            faults = [f"mean test accuracy {mean:.2%} over {len(shares)} seeds, limit {self.limit:.2%}"]
        where = _place(training, facts)
        return Result(
            examined=1,
            findings=tuple(Finding(message=fault, where=where, fix=_fix(facts)) for fault in faults),
            found=mean,
            limit=self.limit,
            unit="mean test accuracy",
            kept=None
            if mean is None
            else f"mean test accuracy {mean:.2%} over {len(shares)} seeds, limit {self.limit:.2%}",
            notes=_notes(training, shares),
        )

    def _run_faults(self, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        if len(runs) < self.seeds:
            yield f"the record holds {amount(len(runs), 'seeds')}, {self.seeds} are promised"
        yield from _faults_together(runs)
        for run in runs:
            yield from (f"seed {run.get('seed')} {fault}" for fault in _faults_of(run, self.within_epochs))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatchesModel(Rule):
    """The training record belongs to the model at hand: same source, same parameters, same state.

    A record is evidence for the network that was trained, not for the one that stands in the file today. Without
    a record there is nothing to judge: the verdict is `error`.

    In a contract: `record-matches-model = true`
    """

    narrows = False
    needs = ("training",)

    def check(self, facts: Facts) -> Result:
        """List everything in which the record and the model differ."""
        training = _recorded(facts)
        where = _place(training, facts)
        findings = tuple(Finding(message=fault, where=where, fix=_fix(facts)) for fault in training.mismatches)
        return Result(examined=1, findings=findings, kept="the record is of this model")


def _recorded(facts: Facts) -> Training:
    """Return the training facts; raise `NotMeasured` where there is no record that could be judged."""
    training = facts.training
    if training is None:
        raise NotMeasured("the training record was not read; judge through a contract that names it")
    if training.record is None:
        named = f"`{training.record_file}`" if training.record_file else "of a training run"
        raise _unproven(next(iter(training.mismatches), f"there is no record {named}"), training, facts)
    if not _runs(training):
        raise _unproven("the record holds no run", training, facts)
    return training


def _proven(facts: Facts) -> Training:
    """Return the training facts; raise `NotMeasured` where there is no record of this very model."""
    training = _recorded(facts)
    if training.mismatches:
        raise _unproven(f"{training.mismatches[0]}, so it proves nothing", training, facts)
    return training


def accuracies(facts: Facts) -> tuple[Fraction, ...]:
    """Return the test accuracy of each recorded seed, exactly.

    Raises `NotMeasured` where the record is of another model or flawed, or where the checkpoint, if it was evaluated,
    contradicts it.
    """
    facts.demand_numbers()
    training = _proven(facts)
    runs = _runs(training)
    faults = [
        *_faults_together(runs),
        *(f"seed {run.get('seed')} {fault}" for run in runs for fault in _faults_of(run)),
    ]
    if training.correct is not None:
        faults += _checkpoint_faults(training)
    if faults:
        raise _unproven(faults[0], training, facts)
    return tuple(Fraction(run["test"]["correct"], run["test"]["total"]) for run in runs)


def recorded(facts: Facts) -> Mapping[str, Any]:
    """Return the record itself. Raises `NotMeasured` where there is none of this very model."""
    return _proven(facts).record or {}


def _faults_together(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield why runs are no runs of one experiment."""
    if len({run.get("seed") for run in runs}) < len(runs):
        yield "the record holds a seed twice"
    sizes = sorted({run["test"]["total"] for run in runs if _share(run) is not None})
    if len(sizes) > 1:
        shown = " and ".join(f"{size:,}" for size in sizes)
        yield f"the seeds were judged on test sets of different sizes: {shown}"


def _faults_of(run: Mapping[str, Any], within_epochs: int | None = None) -> Iterator[str]:
    epochs = run.get("epochs")
    count = len(epochs) if isinstance(epochs, list | tuple) else 0
    if count == 0:
        yield "records no epochs"
    if within_epochs is not None and count > within_epochs:
        yield f"trained {count} epochs, {within_epochs} are allowed"
    if run.get("selected", "last") != "last":
        yield f"has a result chosen by {quote(str(run['selected']))}, not that of the last epoch"
    if _share(run) is None:
        yield "has no result on the test set"


def _unproven(message: str, training: Training, facts: Facts) -> NotMeasured:
    return NotMeasured(message, where=_place(training, facts), fix=_fix(facts))


def _place(training: Training, facts: Facts) -> Where | None:
    return Where(file=training.record_file, line=1) if training.record_file else facts.subject.where


def _fix(facts: Facts) -> str:
    return f"train anew (`archcheck train {facts.subject.name}`), or bring back what was trained"


def _runs(training: Training) -> list[Mapping[str, Any]]:
    return [run for run in (training.record or {}).get("runs", ()) if isinstance(run, Mapping)]


def _share(run: Mapping[str, Any]) -> float | None:
    test = run.get("test")
    correct, total = (test.get("correct"), test.get("total")) if isinstance(test, Mapping) else (None, None)
    if not isinstance(correct, int) or not isinstance(total, int) or not 0 <= correct <= total or total == 0:
        return None
    return correct / total


def _checkpoint_faults(training: Training) -> list[str]:
    if training.checkpoint_problem:
        return [training.checkpoint_problem]
    claimed = _claimed(training)
    if claimed is None:
        return ["the record does not say which seed the checkpoint is of"]
    assert training.correct is not None
    assert training.total is not None
    if training.total != claimed["total"] or abs(training.correct - claimed["correct"]) > TOLERATED * training.total:
        return [
            f"the checkpoint gives {training.correct:,} of {training.total:,} correct, "
            f"the record says {claimed['correct']:,} of {claimed['total']:,}"
        ]
    return []


def _claimed(training: Training) -> Mapping[str, Any] | None:
    seed = ((training.record or {}).get("checkpoint") or {}).get("seed")
    run = next((run for run in _runs(training) if run.get("seed") == seed), None)
    return run["test"] if run and _share(run) is not None else None


def _notes(training: Training, shares: Sequence[float]) -> tuple[str, ...]:
    notes = []
    if shares:
        notes.append(f"{len(shares)} seeds, {min(shares):.2%} to {max(shares):.2%}")
    if training.correct is not None and training.total:
        notes.append(f"the checkpoint gives {training.correct:,} of {training.total:,} on the test set")
    return tuple(notes)
