"""Decide about all seeds from some of them: kept, broken, or undecided with the number of seeds that would decide.

Both errors are limited: at most a share of 1 - confidence of the recipes that miss the limit is called kept, and at
most the same share of those that reach it is called broken.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from archcheck.foundation.statistics.confidence_intervals import Sample, critical, majority, mean_bounds, median_rank

MOST = 1_000
"""The largest number of seeds that is estimated."""


class Answer(enum.StrEnum):
    """What is known about a limit."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An answer with its one-sided bounds, which are `None` if there are too few seeds.

    If the answer is undecided, `seeds` estimates how many seeds are needed in total. It is `None` if nothing is known
    yet, or if it is more than `MOST`. The estimate uses anytime bounds, because only these allow another test.
    """

    answer: Answer
    bounds: tuple[float, float] | None
    seeds: int | None = None


def decide_mean(sample: Sample, limit: Fraction, confidence: float, *, anytime: bool = False) -> Decision:
    """Decide whether the mean accuracy over all seeds is at least `limit`."""
    low, high = mean_bounds(sample, confidence, anytime=anytime)
    bounds = None if math.isinf(critical(sample.size, confidence, anytime=anytime)) else (low, high)
    if bounds and low >= limit:
        return Decision(answer=Answer.KEPT, bounds=bounds)
    if bounds and high < limit:
        return Decision(answer=Answer.BROKEN, bounds=bounds)
    seeds = _seeds_for_mean(sample, limit, confidence) if sample.size > 1 else None
    return Decision(answer=Answer.UNDECIDED, bounds=bounds, seeds=seeds)


def _seeds_for_mean(sample: Sample, limit: Fraction, confidence: float) -> int | None:
    """Return the number of seeds at which the bound would reach the limit if mean and deviation stayed the same."""
    gap = abs(float(sample.mean - limit)) / sample.deviation

    def tells(size: int) -> bool:
        return critical(size, confidence, anytime=True) <= gap * math.sqrt(size)

    low, high = sample.size, MOST
    if not tells(high):
        return None
    while high - low > 1:  # the bound only narrows
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high


def decide_median(values: Sequence[float], limit: int, confidence: float, *, anytime: bool = False) -> Decision:
    """Decide whether the median over all seeds is at most `limit`; values may be infinite."""
    ordered = sorted(values)
    rank = median_rank(len(ordered), confidence, anytime=anytime)
    bounds = (ordered[len(ordered) - rank], ordered[rank - 1]) if rank else None
    if bounds and bounds[1] <= limit:
        return Decision(answer=Answer.KEPT, bounds=bounds)
    if bounds and bounds[0] > limit:
        return Decision(answer=Answer.BROKEN, bounds=bounds)
    return Decision(answer=Answer.UNDECIDED, bounds=bounds, seeds=_seeds_for_median(ordered, limit, confidence))


def _seeds_for_median(values: Sequence[float], limit: int, confidence: float) -> int | None:
    """Return the number of seeds at which enough would lie on one side if the shares stayed the same."""
    known, inside = len(values), sum(value <= limit for value in values)
    larger = max(inside, known - inside)
    sizes = range(known + 1, MOST + 1)
    return next((size for size in sizes if majority(size, larger * size // known, confidence, anytime=True)), None)
