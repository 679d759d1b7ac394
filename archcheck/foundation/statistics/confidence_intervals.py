"""Bounds of the mean and of the median over all seeds, and intervals of a share.

Every bound is one-sided and holds with the probability `confidence`. A *fixed* bound holds if the number of seeds was
chosen before any result was seen. An *anytime* bound holds for all numbers of seeds at once, so that one may test after
each seed and stop at any time.

The bound of the mean assumes that seeds are independent and that their accuracies are normally distributed with an
unknown standard deviation. The bound of the median assumes only independence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from archcheck.foundation.statistics.distributions import (
    beta_cdf,
    beta_quantile,
    fair_tail,
    log_beta,
    root,
    student_cdf,
    student_quantile,
)

LEAST_SPREAD = 0.5
"""The smallest standard deviation that is assumed, in examples of the test set.

Counts of correct examples are whole numbers. Seeds that are all equal may come from a distribution over two adjacent
counts, whose standard deviation is at most a half.
"""
EFFECT = 1.0
"""Scale of the gaps, in standard deviations, at which the anytime bound of the mean is tightest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Correct answers of several seeds on one test set of `total` examples; accuracies are shares of it."""

    counts: Sequence[int]
    total: int

    @property
    def size(self) -> int:
        """The number of seeds."""
        return len(self.counts)

    @property
    def mean(self) -> Fraction:
        """The mean accuracy, exactly."""
        return Fraction(sum(self.counts), self.size * self.total)

    @property
    def deviation(self) -> float:
        """The standard deviation of one seed's accuracy, unbiased in its square, and at least `LEAST_SPREAD`."""
        size, added = self.size, sum(self.counts)
        squares = size * sum(count * count for count in self.counts) - added * added
        spread = math.sqrt(squares / (size * (size - 1))) if size > 1 else 0.0
        return max(spread, LEAST_SPREAD) / self.total


def critical(size: int, confidence: float, *, anytime: bool) -> float:
    """Return the distance of the bound from the mean in standard errors; infinite if so few seeds give no bound."""
    if size < 2:
        return math.inf
    return _anytime_critical(size, confidence) if anytime else _student_critical(size, confidence)


@lru_cache(maxsize=4096)
def _student_critical(size: int, confidence: float) -> float:
    return student_quantile(confidence, size - 1)


@lru_cache(maxsize=4096)
def _anytime_critical(size: int, confidence: float) -> float:
    """Return the t statistic at which the evidence against a mean becomes 1 / (1 - confidence).

    By Ville's inequality, a nonnegative martingale that starts at 1 ever reaches this value with a probability of at
    most 1 - confidence. The evidence rises with t, so all means below the one with this evidence are excluded, too.
    """
    needed = -math.log1p(-confidence)
    if math.log(2) + (size - 1) / 2 * math.log1p(size * EFFECT**2) <= needed:
        return math.inf
    high = 1.0
    while log_evidence(high, size) < needed:
        high *= 2
    return root(lambda t: log_evidence(t, size) - needed, 0.0, high)


def log_evidence(t: float, size: int) -> float:
    """Return the logarithm of the evidence of a one-sided t statistic of `size` seeds against its mean.

    It is the likelihood ratio of the scale-invariant observations, a gap of delta standard deviations against none,
    averaged over a half-normal delta > 0 of scale `EFFECT`. This is a test martingale for every standard deviation.
    Source: Lai, On confidence sequences, Annals of Statistics 4 (1976); Wang and Ramdas, Anytime-valid t-tests and
    confidence sequences for Gaussian means with unknown variance (arXiv:2310.03722), for the Gaussian average. Half of
    that Gaussian multiplies their ratio by twice the posterior probability of delta > 0. This probability is that of
    Student's t with `size` degrees of freedom, because the precision given the observations has a gamma distribution.
    """
    freedom, scale = size - 1, 1 + size * EFFECT**2
    rest = freedom + t * t / scale
    ratio = size / 2 * math.log((freedom + t * t) / rest) - math.log(scale) / 2
    posterior = student_cdf(math.sqrt(size) * t * EFFECT * math.sqrt(size / (rest * scale)), size)
    return ratio + math.log(2 * posterior)


def mean_bounds(sample: Sample, confidence: float, *, anytime: bool = False) -> tuple[float, float]:
    """Return the one-sided lower and upper bounds of the mean accuracy over all seeds; 0 and 1 if there are none."""
    margin = critical(sample.size, confidence, anytime=anytime) * sample.deviation / math.sqrt(sample.size)
    return max(0.0, float(sample.mean) - margin), min(1.0, float(sample.mean) + margin)


def majority(size: int, inside: int, confidence: float, *, anytime: bool) -> bool:
    """Whether at least half of all seeds lie on one side of a value, given that `inside` of `size` seeds do.

    The fixed test is the exact sign test. The anytime test is a test martingale: the likelihood ratio of a share p
    against one half, averaged over p between one half and one (Robbins, Annals of Mathematical Statistics 41, 1970).
    """
    if not anytime:
        return fair_tail(size, inside) <= 1 - confidence
    high_share = 1 - beta_cdf(0.5, inside + 1, size - inside + 1)
    if high_share <= 0:
        return False
    evidence = (size + 1) * math.log(2) + log_beta(inside + 1, size - inside + 1) + math.log(high_share)
    return evidence >= -math.log1p(-confidence)


def median_rank(size: int, confidence: float, *, anytime: bool = False) -> int | None:
    """Return r such that the r-th smallest of `size` values bounds the median from above; `None` if no value does.

    The r-th largest bounds it from below. This is exact for every distribution, with ties and infinite values. Source:
    David and Nagaraja, Order Statistics (2003), section 7.1.
    """
    ranks = range((size + 1) // 2, size + 1)
    return next((rank for rank in ranks if majority(size, rank, confidence, anytime=anytime)), None)


def share_interval(correct: int, total: int, confidence: float) -> tuple[float, float]:
    """Return the exact two-sided interval of a share, given `correct` of `total` independent examples.

    Source: Clopper and Pearson, Biometrika 26 (1934), by quantiles of the beta distribution.
    """
    outside = (1 - confidence) / 2
    low = beta_quantile(outside, correct, total - correct + 1) if correct else 0.0
    high = beta_quantile(1 - outside, correct + 1, total - correct) if correct < total else 1.0
    return low, high
