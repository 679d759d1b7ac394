"""Probability distributions for decisions about accuracies, from the regularised incomplete beta function.

They are exact to about twelve digits for the parameters that occur here: up to some thousand seeds, and test sets of
up to some million examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY = 1e-300
"""Replaces a zero denominator in the method of Lentz."""
_CLOSE = 1e-15
_STEPS = 100_000
"""Terms of the continued fraction at most. It converges in about the square root of its larger parameter."""


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for positive `a` and `b` and 0 <= x <= 1.

    Source: the continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, evaluated by the
    method of Lentz as modified by Thompson and Barnett (1986), with I_x(a, b) = 1 - I_{1-x}(b, a) where that
    converges faster (8.17.4).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)
    return math.exp(log_front) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """Return the denominator 1 + d1/(1 + d2/(1 + …)) of the continued fraction."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        half = step // 2
        if step % 2:
            term = -(a + half) * (a + b + half) * x / ((a + step - 1) * (a + step))
        else:
            term = half * (b - half) * x / ((a + step - 1) * (a + step))
        lower = 1 / (1 + term * lower or _TINY)
        upper = 1 + term / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < _CLOSE:
            break
    return value


def log_beta(a: float, b: float) -> float:
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the x at which I_x(a, b) is `share`."""
    return root(lambda x: beta_cdf(x, a, b) - share, 0.0, 1.0)


def student_cdf(t: float, freedom: float) -> float:
    """Return the probability that Student's t with so many degrees of freedom is at most `t`.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.1 with 26.5.27.
    """
    square = t * t
    if square < freedom:  # else the argument below would be rounded towards one
        return 0.5 + math.copysign(beta_cdf(square / (freedom + square), 0.5, freedom / 2) / 2, t)
    tail = beta_cdf(freedom / (freedom + square), freedom / 2, 0.5) / 2
    return tail if t < 0 else 1 - tail


def student_quantile(share: float, freedom: float) -> float:
    """Return the t that Student's t with so many degrees of freedom exceeds with probability 1 - `share`."""
    if share < 0.5:
        return -student_quantile(1 - share, freedom)
    if share > 0.75:  # invert the form whose variable is small, so that no digit is lost
        small = beta_quantile(2 * (1 - share), freedom / 2, 0.5)
        return math.sqrt(freedom * (1 - small) / small)
    small = beta_quantile(2 * share - 1, 0.5, freedom / 2)
    return math.sqrt(freedom * small / (1 - small))


def fair_tail(tosses: int, heads: int) -> float:
    """Return the probability of at least `heads` heads in so many tosses of a fair coin."""
    return 1.0 if heads <= 0 else beta_cdf(0.5, heads, tosses - heads + 1) if heads <= tosses else 0.0


def root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function changes its sign, to the last digit, by bisection."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
