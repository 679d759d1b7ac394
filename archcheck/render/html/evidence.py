"""The training record as figures: a curve for each seed, and the mean accuracy with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archcheck.foundation.statistics.confidence_intervals import Sample, mean_bounds, share_interval
from archcheck.foundation.words import amount
from archcheck.rules.findings import Report
from archcheck.rules.queries.outcome_text import percents, validation_of
from archcheck.rules.queries.training_runs import Run, epochs_of, result_of, runs_of

CONFIDENCE = 0.95
"""Confidence of the two-sided intervals that are drawn."""
MOST = 200
"""Most seeds of one record that are shown."""
_RULE = "min-accuracy"
_BELOW = 12
"""The range below the limit, in multiples of the allowed error. The first epochs may lie far below it."""
_ROOM = 0.01
"""The smallest range around a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A run: the validation accuracy after each epoch (`None` where there is none), and its result on the test set."""

    seed: str
    shares: tuple[float | None, ...]
    result: tuple[int, int] | None
    interval: tuple[float, float] | None

    @property
    def test(self) -> float | None:
        """The accuracy on the test set."""
        return self.result[0] / self.result[1] if self.result else None

    @property
    def last(self) -> float | None:
        """The last validation accuracy."""
        return self.shares[-1] if self.shares else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All curves, the `limit` of the contract where it was judged, and the mean test accuracy with its interval."""

    file: str
    curves: tuple[Curve, ...]
    hidden: int
    limit: float | None
    mean: float | None
    interval: tuple[float, float] | None
    anytime: bool
    mismatches: tuple[str, ...]

    @property
    def epochs(self) -> int:
        """Epochs of the longest run."""
        return max((len(curve.shares) for curve in self.curves), default=0)

    @property
    def tested(self) -> int:
        """How many runs have a result on the test set."""
        return sum(curve.result is not None for curve in self.curves)

    @property
    def visible_range(self) -> tuple[float, float]:
        """The lowest and the highest drawn accuracy. Low validation accuracies are cut off to show the limit."""
        tests = [share for curve in self.curves for share in curve.interval or ()]
        limits = [] if self.limit is None else [self.limit]
        shares = [*known(share for curve in self.curves for share in curve.shares), *tests, *limits]
        low, high = min(shares), max(shares)
        if self.limit is not None:
            low = max(low, min([*tests, self.limit - max(_ROOM, _BELOW * (1 - self.limit))]))
        room = (high - low) / 16 or _ROOM
        return max(0.0, low - room), min(1.0, high + room)

    @property
    def below(self) -> int:
        """How many validation accuracies lie below the visible range."""
        low, _ = self.visible_range
        return sum(share < low for curve in self.curves for share in known(curve.shares))

    @property
    def drawable(self) -> bool:
        """Whether there is anything to draw: any accuracy in any run."""
        return any(value is not None for curve in self.curves for value in (*curve.shares, curve.test))


def evidence_of(report: Report) -> Evidence | None:
    """Return the figures of the training record of a subject, or `None` if there is no record with runs."""
    training = report.facts.training if report.facts else None
    runs = runs_of(training.record if training else None)
    if training is None or not runs:
        return None
    curves = tuple(map(_curve, runs))
    anytime = bool(training.record and training.record.get("stopping") is not None)
    mean, interval = _mean([curve.result for curve in curves if curve.result], anytime=anytime)
    return Evidence(
        file=training.record_file or "",
        curves=curves[:MOST],
        hidden=len(curves[MOST:]),
        limit=_limit(report),
        mean=mean,
        interval=interval,
        anytime=anytime,
        mismatches=training.mismatches,
    )


def known(values: Iterable[float | None]) -> list[float]:
    """Return the values that are not `None`."""
    return [value for value in values if value is not None]


def _curve(run: Run) -> Curve:
    shares = (validation_of(epoch) for epoch in epochs_of(run))
    result = result_of(run)
    return Curve(
        seed=str(run.get("seed")),
        shares=tuple(None if share is None else float(share) for share in shares),
        result=result,
        interval=share_interval(*result, CONFIDENCE) if result else None,
    )


def _mean(results: Sequence[tuple[int, int]], *, anytime: bool) -> tuple[float | None, tuple[float, float] | None]:
    """Return the mean over seeds if all have one test set, and its interval if there are two seeds or more."""
    if len({total for _, total in results}) != 1:
        return None, None
    sample = Sample([correct for correct, _ in results], results[0][1])
    # Each of the two one-sided bounds takes half of the error of a two-sided interval.
    bounds = mean_bounds(sample, (1 + CONFIDENCE) / 2, anytime=anytime)
    return float(sample.mean), None if bounds == (0.0, 1.0) else bounds


def _limit(report: Report) -> float | None:
    """Return the accuracy that a rule promises. A rule about epochs has an integer as its limit, and is skipped."""
    limits = (outcome.limit for outcome in report.outcomes if outcome.rule == _RULE)
    return next((limit for limit in limits if isinstance(limit, float) and 0 < limit <= 1), None)


def described(evidence: Evidence) -> str:
    """Return the figures of the curves in words, for readers who cannot see them."""
    tested = [curve.test for curve in evidence.curves if curve.test is not None]
    parts = [f"{amount(len(evidence.curves), 'seeds')}, up to {amount(evidence.epochs, 'epochs')}"]
    if tested:
        low, high = percents(min(tested), max(tested))
        parts.append(f"test accuracy {low} to {high}")
    if evidence.limit is not None:
        parts.append(f"limit {percents(evidence.limit)[0]}")
    return ", ".join(parts)
