"""Decide about an accuracy, and say the result in figures and words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from archcheck.foundation.statistics.confidence_intervals import Sample, median_rank, share_interval
from archcheck.foundation.statistics.distributions import fair_tail
from archcheck.foundation.statistics.sequential_decisions import MOST, Answer, Decision, decide_mean, decide_median
from archcheck.foundation.words import amount
from archcheck.rules.queries.training_runs import Run, epochs_of, result_of

NEVER = math.inf
"""The epoch of a run that never reaches the target."""
_DIGITS = range(2, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDecision:
    """A decision with the compared figure, its sentence, and notes for the reader."""

    answer: Answer
    message: str
    found: float | None
    unit: str
    notes: tuple[str, ...] = ()


def judge_checkpoint(correct: int, total: int, limit: Fraction, confidence: float) -> AccuracyDecision:
    """Compare the count of one checkpoint with the limit, exactly."""
    share = Fraction(correct, total)
    shown, least = percents(share, limit)
    low, high = share_interval(correct, total, confidence)
    return AccuracyDecision(
        answer=Answer.KEPT if share >= limit else Answer.BROKEN,
        message=f"the checkpoint gives {correct:,} of {total:,} correct, {shown}, limit {least}",
        found=float(share),
        unit="test accuracy of the checkpoint",
        notes=(
            "exact, of this checkpoint on this test set; of the population behind it "
            f"{low:.2%} to {high:.2%} (Clopper-Pearson, {_percent(confidence)})",
        ),
    )


def judge_recipe(runs: Sequence[Run], limit: Fraction, confidence: float, *, anytime: bool) -> AccuracyDecision:
    """Judge the mean test accuracy over all seeds from some seeds. Every run has a result."""
    results = [result for run in runs if (result := result_of(run)) is not None]
    sample = Sample(tuple(correct for correct, _ in results), results[0][1])
    decision = decide_mean(sample, limit, confidence, anytime=anytime)
    low, high = decision.bounds or (None, None)
    mean, least, *bounds = percents(sample.mean, limit, low, high)
    telling = f"at least {bounds[0]}" if decision.answer is Answer.KEPT else f"at most {bounds[1]}"
    begin, sure = f"mean test accuracy {mean} over {amount(sample.size, 'seeds')}", _percent(confidence)
    return AccuracyDecision(
        answer=decision.answer,
        message=f"{_said(decision, begin, telling, bounds, sure)}, limit {least}{_more(decision, sample.size)}",
        found=float(sample.mean),
        unit="mean test accuracy",
        notes=(_spread(sample), _bounds(bounds, "Student's t", anytime, sure)),
    )


def _spread(sample: Sample) -> str:
    lowest, highest = min(sample.counts) / sample.total, max(sample.counts) / sample.total
    text = f"{amount(sample.size, 'seeds')}, {lowest:.2%} to {highest:.2%}"
    return text if sample.size == 1 else f"{text}, standard deviation {sample.deviation:.3%}"


def judge_epochs(
    runs: Sequence[Run], target: Fraction, within: int, confidence: float, *, anytime: bool
) -> AccuracyDecision:
    """Judge the median over all seeds of the epochs needed to reach `target`, from some seeds."""
    reached = [epochs_to(run, target) for run in runs]
    decision = decide_median(reached, within, confidence, anytime=anytime)
    bounds = [_epoch(bound) for bound in decision.bounds or ()] or ["", ""]
    telling = f"at most {bounds[1]}" if decision.answer is Answer.KEPT else f"at least {bounds[0]}"
    middle, aim, size = median(reached), percents(target)[0], len(reached)
    when = "never" if math.isinf(middle) else f"after {_epoch(middle)} epochs"
    begin = f"validation accuracy {aim} {when} in the median of {amount(size, 'seeds')}"
    sure = _percent(confidence if anytime else _attained(size, confidence))
    return AccuracyDecision(
        answer=decision.answer,
        message=f"{_said(decision, begin, telling, bounds, sure)}, limit {within}{_more(decision, size)}",
        found=None if math.isinf(middle) else float(middle),
        unit=f"epochs to a validation accuracy of {aim}",
        notes=(
            f"{amount(size, 'seeds')}: {', '.join(map(_epoch, sorted(reached)))}",
            _bounds(bounds, "order statistics", anytime, sure),
        ),
    )


def _attained(size: int, confidence: float) -> float:
    """Return the confidence of the bounds of a median, which has steps, rounded down to a thousandth."""
    rank = median_rank(size, confidence)
    return confidence if rank is None else math.floor(1000 * (1 - fair_tail(size, rank))) / 1000


def epochs_to(run: Run, target: Fraction) -> float:
    """Return the first epoch, counted from one, whose validation accuracy reaches `target`, or `NEVER`."""
    shares = enumerate(map(validation_of, epochs_of(run)), 1)
    return next((number for number, share in shares if share is not None and share >= target), NEVER)


def faults_of_validation(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the runs without any validation accuracy."""
    for run in runs:
        if all(validation_of(epoch) is None for epoch in epochs_of(run)):
            yield (
                f"seed {run.get('seed')} has no validation accuracy: its trainer must yield `validation_correct` and "
                "`validation_total`, or `validation_accuracy`"
            )


def validation_of(epoch: Run) -> Fraction | None:
    """Return the validation accuracy after an epoch; `None` where it has none."""
    correct, total = epoch.get("validation_correct"), epoch.get("validation_total")
    if isinstance(correct, int) and isinstance(total, int) and 0 <= correct <= total and total > 0:
        return Fraction(correct, total)
    share = epoch.get("validation_accuracy")
    known = isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1
    return Fraction(str(share)) if known else None


def _said(decision: Decision, begin: str, telling: str, bounds: Sequence[str], sure: str) -> str:
    if decision.answer is not Answer.UNDECIDED:
        return f"{begin}, {telling} ({sure} sure)"
    between = f", between {bounds[0]} and {bounds[1]} ({sure} sure of each)" if decision.bounds else ""
    return f"undecided: {begin}{between}"


def _more(decision: Decision, size: int) -> str:
    if decision.answer is not Answer.UNDECIDED:
        return ""
    if decision.seeds:
        return f"; needs more seeds: about {decision.seeds:,} in all"
    return "; needs more seeds: one gives no bound" if size == 1 else f"; needs more seeds: more than {MOST:,}"


def _bounds(bounds: Sequence[str], source: str, anytime: bool, sure: str) -> str:
    chosen = "at any number of seeds" if anytime else f"by {source}, their number chosen beforehand"
    return f"bounds {bounds[0]} and {bounds[1]}, each {sure} sure {chosen}" if bounds[0] else f"no bounds yet {chosen}"


def _epoch(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:g}"


def _percent(share: float) -> str:
    return f"{100 * share:.10g}%"


def percents(*shares: Fraction | float | None) -> tuple[str, ...]:
    """Write shares with two digits of their percentages, or with as many as tell those apart that differ.

    >>> percents(0.994, 0.99399), percents(None)
    (('99.400%', '99.399%'), ('',))
    """
    values = [None if share is None else float(share) for share in shares]
    for digits in _DIGITS:
        written = tuple("" if value is None else f"{value:.{digits}%}" for value in values)
        if len(set(written)) == len(set(values)):
            break
    return written
