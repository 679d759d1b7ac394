"""Accuracy: what recorded seeds, or a checkpoint, prove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from archcheck.facts.facts import Facts
from archcheck.facts.records import Training
from archcheck.foundation.statistics.sequential_decisions import Answer
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.outcome_text import (
    AccuracyDecision,
    faults_of_validation,
    judge_checkpoint,
    judge_epochs,
    judge_recipe,
)
from archcheck.rules.queries.training_runs import (
    anew,
    checkpoint_faults,
    faults_of_runs,
    fix_of,
    place_of,
    proven_training,
    runs_of,
)

LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MinAccuracy(Rule):
    """The accuracy is at least `limit`: of the recipe over its seeds, of this checkpoint, or within so many epochs.

    `mode` says which accuracy is promised, and how it is judged:

    * `"recipe"`, the default: the mean test accuracy over all seeds that the recipe may be trained with. The rule
      computes one-sided bounds of this mean from the recorded seeds, by Student's t. It is kept when the lower bound
      reaches the limit, and broken when the upper bound does not. Otherwise it is undecided: the verdict is broken,
      with an estimate of how many seeds would decide. At most 5 % of the recipes that miss the limit are kept, and at
      most 5 % of those that reach it are called broken. This is 1 - `confidence`, and holds where the accuracies of
      seeds are independent and normal. (Counts near the whole test set are a little skewed: 5.8 % for ten binomial
      counts at 99.4 % of 10,000.) One seed gives no bound. The standard deviation is taken as at least half an example
      of the test set, because equal counts do not prove that there is none.
    * `"artifact"`: the committed checkpoint, evaluated again. The rule compares the number of correct answers with the
      limit exactly, without any error. This is a statement about this checkpoint on this test set, not about another
      training or other data. A note gives the exact two-sided interval (Clopper and Pearson) for the population of the
      test set.
    * `"epochs-to-target"`: the first epoch whose validation accuracy reaches the limit, infinite for a run that never
      does. The rule is kept when the median over all seeds is at most `within-epochs`, by its one-sided bound. The
      bound is an order statistic. It needs five seeds and holds for any distribution. Broken and undecided follow as
      above, with the same errors of at most 1 - `confidence`; the report states the attained confidence. An epoch has
      `validation_correct` and `validation_total`, or `validation_accuracy`, a share.

    These bounds hold if the number of seeds was chosen before the first result, and a record cannot prove that. Testing
    after every seed and stopping at the first success accepts 21 % of the recipes that are exactly at the limit (20
    seeds). `archcheck train SUBJECT --until-decided` tests after each seed with bounds that hold for every number of
    seeds at once. For normal accuracies of unknown spread it uses a test martingale after Lai (1976) and Wang and
    Ramdas (arXiv:2310.03722); for the median it uses a sign test after Robbins (1970). Each error is again at most 1 -
    `confidence`, however often one tests and whenever one stops. The record notes this under `stopping`, and is then
    judged by the same bounds. If a fixed number of seeds was judged first and left undecided, continuing with
    `--until-decided` at most doubles the errors.

    In every mode the record must belong to this model (see `record-matches-model`) and hold at least `seeds` runs. No
    run may be longer than `within-epochs` (except for epochs to the target). Each run has its epochs, and is judged on
    the same test set after its last epoch. The committed checkpoint must reproduce its count. Without a record, or with
    a record of another model, the verdict is `error`. `limit` is a share: 0.994 is 99.4 %, and so is `"99.4 %"`.

    In a contract: `min-accuracy = { limit = 0.994, within-epochs = 20, seeds = 5 }`
    """

    narrows = False
    needs = ("training",)
    limit: float = field(metadata={"unit": "share"})
    mode: Literal["recipe", "artifact", "epochs-to-target"] = "recipe"
    within_epochs: int | None = field(default=None, metadata={"least": 1})
    seeds: int = field(default=1, metadata={"least": 1})
    confidence: float = field(default=0.95, metadata={"unit": "share"})

    def __post_init__(self) -> None:
        """Refuse a limit that is not a share, and parameters that do not fit the mode."""
        Rule.__post_init__(self)
        if not 0 < self.limit <= 1:
            raise ValueError(f"`limit` is a share between 0 and 1 (0.994 for 99.4 %), found {self.limit:g}")
        if not LEAST_CONFIDENCE < self.confidence < 1:
            raise ValueError(f"`confidence` is a share above 0.5 and below 1, found {self.confidence:g}")
        if self.mode == "epochs-to-target" and self.within_epochs is None:
            raise ValueError('mode "epochs-to-target" needs `within-epochs`, which the median is compared with')
        if self.mode == "artifact" and self.seeds > 1:
            raise ValueError(
                '`seeds` are of a recipe, and mode "artifact" judges one checkpoint; leave one of them out'
            )

    @property
    def of_seeds(self) -> bool:
        """Whether the rule is about the recipe, so that more seeds can decide it."""
        return self.mode != "artifact"

    def check(self, facts: Facts) -> Result:
        """Judge the record and the fresh evaluation."""
        facts.demand_numbers()
        training = proven_training(facts)
        record = training.record or {}
        look = None if any(self.faults(record)) else self._look(training)
        where = place_of(training, facts)
        findings = [Finding(message=fault, where=where, fix=fix) for fault, fix in self._mended(training, facts)]
        if look and not findings and look.answer is not Answer.KEPT:
            findings = [Finding(message=look.message, where=where, fix=self._fix(look, facts))]
        return Result(
            examined=1,
            findings=tuple(findings),
            found=look.found if look else None,
            limit=self.within_epochs if self.mode == "epochs-to-target" else self.limit,
            unit=look.unit if look else None,
            kept=look.message if look else None,
            notes=(*(look.notes if look else ()), *_fresh(training)),
        )

    def faults(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        """Return why the runs of a record prove nothing, whatever their number."""
        runs = runs_of(record)
        if self.mode == "epochs-to-target":
            return (*faults_of_runs(runs), *faults_of_validation(runs))
        return tuple(faults_of_runs(runs, self.within_epochs))

    def look(self, record: Mapping[str, Any], *, anytime: bool) -> AccuracyDecision:
        """Return what the valid runs of a record say about the recipe, by fixed or by anytime bounds."""
        runs, limit = runs_of(record), Fraction(str(self.limit))
        if self.mode == "epochs-to-target":
            return judge_epochs(runs, limit, self.within_epochs or 0, self.confidence, anytime=anytime)
        return judge_recipe(runs, limit, self.confidence, anytime=anytime)

    def _mended(self, training: Training, facts: Facts) -> Iterator[tuple[str, str]]:
        """Yield what a record lacks, with what to do about each."""
        record = training.record or {}
        count, name = len(runs_of(record)), facts.subject.name
        if count < self.seeds:
            yield (
                f"the record holds {amount(count, 'seeds')}, {self.seeds} are promised",
                f"train further seeds, each with `archcheck train {name}`, or lower `seeds`",
            )
        whatever_long = set(faults_of_runs(runs_of(record)))
        for fault in self.faults(record):
            too_long = self.mode != "epochs-to-target" and fault not in whatever_long
            yield (
                fault,
                f"let the trainer take fewer epochs: {anew(facts)}, or raise `within-epochs`"
                if too_long
                else fix_of(facts),
            )
        yield from ((fault, fix_of(facts)) for fault in checkpoint_faults(training))

    def _look(self, training: Training) -> AccuracyDecision | None:
        record = training.record or {}
        if self.of_seeds:
            return self.look(record, anytime=record.get("stopping") is not None)
        if training.correct is None or not training.total:
            return None
        return judge_checkpoint(training.correct, training.total, Fraction(str(self.limit)), self.confidence)

    def _fix(self, look: AccuracyDecision, facts: Facts) -> str:
        if look.answer is Answer.BROKEN:
            return f"improve the recipe: {anew(facts)}, or lower what min-accuracy asks for"
        return f"add seeds until it is decided (`archcheck train {facts.subject.name} --until-decided`)"


def _fresh(training: Training) -> Iterator[str]:
    if training.correct is not None and training.total:
        yield f"the checkpoint gives {training.correct:,} of {training.total:,} on the test set"
