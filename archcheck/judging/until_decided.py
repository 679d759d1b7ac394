"""`archcheck train --until-decided`: train one seed after another until the contract is decided.

Testing after each seed inflates the errors of bounds that are made for one test. This module therefore uses anytime
bounds (`confidence_intervals`): each error is at most 1 - confidence, however often one tests and whenever one stops.
The record notes this under `stopping`, and `min-accuracy` then judges it by the same bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archcheck.contract import Contract, SubjectEntry, TrainingSpec
from archcheck.facts.records import RECORD
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.statistics.sequential_decisions import Answer
from archcheck.foundation.words import visible
from archcheck.judging.engine import measure_subject
from archcheck.rules.accuracy import MinAccuracy
from archcheck.workers.record_document import free_seed
from archcheck.workers.record_file import Tell
from archcheck.workers.training import DAY, OnEpoch, Trainer, record_file, trainer_of
from archcheck.workers.worker_process import Worker

MOST_SEEDS = 20
"""By default, training stops undecided when the record holds so many seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStatus:
    """What is known of one rule after the seeds so far. `settled` says that the rule needs no further seed."""

    instance: str
    answer: Answer
    message: str
    settled: bool


OnLook = Callable[[Mapping[str, Any] | None, Sequence[RuleStatus]], None]


def train_until_decided(
    contract: Contract,
    entry: SubjectEntry,
    *,
    most: int = MOST_SEEDS,
    output: Path | None = None,
    timeout: float = DAY,
    on_epoch: OnEpoch | None = None,
    on_look: OnLook | None = None,
    tell: Tell | None = None,
    workers: Sequence[Worker] = (),
) -> tuple[Answer, Path]:
    """Add seeds to the record of `entry` until it is decided, or holds `most` seeds. Return the answer and the file of
    the record.

    It is decided when one promised accuracy is broken, or when all are kept. `on_look` is called with the run that
    ended (`None` for the runs recorded before) and the state of each rule. The first of `workers` trains, or by default
    one of its own.

    Raises:
        ArchcheckError: no accuracy of the recipe is promised, there is no file for the record, the record is of another
            model, or the trainer failed. The runs that ended before are kept.
    """
    spec, rules = trainer_of(entry), _promises(entry)
    _refuse_few(rules, most)
    target = output or record_file(contract, spec)
    if target is None:
        raise ArchcheckError(
            f"`{visible(entry.name)}` at {entry.where} names no `record` to keep seeds in; choose `--output`"
        )
    stated = {"stopping": _stopping(rules, most)}
    trainer = Trainer(contract=contract, entry=entry, spec=spec, target=target, timeout=timeout, stated=stated)
    with trainer.recording(tell) as kept:
        if kept.record is not None:
            _refuse_another_model(contract, entry, spec, target)
        answer, before = Answer.UNDECIDED, len(kept.record["runs"]) if kept.record else 0

        def choose(record: Mapping[str, Any] | None) -> int | None:
            nonlocal answer
            if record is None or not record["runs"]:
                return free_seed(record)
            standings = [_standing(instance, rule, record) for instance, rule in rules.items()]
            answer = _together(standings)
            count = len(record["runs"])
            if on_look:
                on_look(record["runs"][-1] if count > before else None, standings)
            return None if answer is not Answer.UNDECIDED or count >= most else free_seed(record)

        trainer.run(kept, choose, on_epoch, workers)
    return answer, target


def _promises(entry: SubjectEntry) -> dict[str, MinAccuracy]:
    stated = ((each.instance, each.rule) for each in entry.rules)
    rules = {instance: rule for instance, rule in stated if isinstance(rule, MinAccuracy) and rule.of_seeds}
    if not rules:
        raise ArchcheckError(
            f"`{visible(entry.name)}` at {entry.where} promises no accuracy of its recipe, so there is nothing to "
            'decide; state `min-accuracy` with mode "recipe" or "epochs-to-target" under its `rules`'
        )
    return rules


def _refuse_few(rules: Mapping[str, MinAccuracy], most: int) -> None:
    for instance, rule in rules.items():
        if rule.seeds > most:
            raise ArchcheckError(f"`{instance}` promises {rule.seeds} seeds, and --max-seeds is {most}; raise it")


def _refuse_another_model(contract: Contract, entry: SubjectEntry, spec: TrainingSpec, target: Path) -> None:
    """Raise `ArchcheckError` for a record of another model, before anything is concluded from it."""
    alone = replace(entry, rules=(), training=replace(spec, record=str(target.absolute())))
    with Worker() as worker:
        training = measure_subject(worker, contract, alone, needs=(RECORD,)).training
    if training and training.mismatches:
        raise ArchcheckError(
            f"`{target}` is of another model: {training.mismatches[0]}; move it away or choose `--output FILE`"
        )


def _standing(instance: str, rule: MinAccuracy, record: Mapping[str, Any]) -> RuleStatus:
    if faults := rule.faults(record):
        return RuleStatus(instance=instance, answer=Answer.BROKEN, message=faults[0], settled=True)
    look = rule.look(record, anytime=True)
    enough = len(record["runs"]) >= rule.seeds
    settled = look.answer is Answer.BROKEN or (look.answer is Answer.KEPT and enough)
    message = look.message if enough or settled else f"{look.message}; {rule.seeds} seeds are promised"
    return RuleStatus(instance=instance, answer=look.answer, message=message, settled=settled)


def _together(standings: Sequence[RuleStatus]) -> Answer:
    if any(standing.answer is Answer.BROKEN for standing in standings):
        return Answer.BROKEN
    return Answer.KEPT if all(standing.settled for standing in standings) else Answer.UNDECIDED


def _stopping(rules: Mapping[str, MinAccuracy], most: int) -> dict[str, Any]:
    """Return the entry `stopping` of the record: how its seeds are chosen."""
    promises = {
        instance: {"mode": rule.mode, "limit": rule.limit, "confidence": rule.confidence}
        for instance, rule in rules.items()
    }
    return {"procedure": "until-decided", "bounds": "anytime", "max_seeds": most, "rules": promises}
