"""Simulate how often accuracies are decided wrongly, and how many seeds that takes.

    python tests/benchmarks/decisions.py [--replications 10000]

A recipe's seeds get so many of 10,000 test examples right: a normal count with the flagship's standard deviation
of 6.5 examples, rounded, or a binomial one (about 7.7). The limit is 99.4 %, the true mean lies by so many percentage
points beside it. `fixed n` looks once, at n seeds, by Student's t; `until decided` looks after each seed by the anytime
bound, up to 20 or 60; `naive` looks after each seed by Student's t, which is what nobody should do, and `fixed 5, then
on` goes on by the anytime bound where five fixed seeds left it open. Of each: how many of 100 recipes are kept, broken
and undecided, and the seeds that were trained, their mean and their 90 % quantile.

Stated are errors of at most 5 %: recipes below the limit that are kept, recipes at or above it that are broken (and, as
a mean at the limit is the worst case of both, either answer there); `fixed 5, then on` may err twice as often. That is
of normal accuracies: counts near the whole test set are a little skewed, and a fifth more is allowed of binomial ones.
Exit code 1 if one of these (not `naive`) errs more often than that beyond four standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from archcheck.foundation.statistics.confidence_intervals import Sample
from archcheck.foundation.statistics.sequential_decisions import Answer, Decision, decide_mean

TOTAL, LIMIT, CONFIDENCE = 10_000, Fraction(994, 1000), 0.95
DEVIATION = 6.5
OFFSETS = (-0.06, -0.02, 0.0, 0.02, 0.06)
SEED = 20_261_123


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How seeds are looked at: `decide` takes their counts to an answer and the number of seeds that were used."""

    name: str
    decide: Callable[[Sequence[int]], tuple[Answer, int]]
    most: int
    error: float | None = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What became of some recipes with one true mean."""

    kept: float
    broken: float
    undecided: float
    mean_seeds: float
    most_seeds: float


def look(counts: Sequence[int], *, anytime: bool) -> Decision:
    return decide_mean(Sample(counts, TOTAL), LIMIT, CONFIDENCE, anytime=anytime)


def fixed(size: int) -> Procedure:
    return Procedure(
        name=f"fixed {size}", decide=lambda counts: (look(counts[:size], anytime=False).answer, size), most=size
    )


def after_each(counts: Sequence[int], first: int, *, anytime: bool) -> tuple[Answer, int]:
    """Look at every number of seeds from `first` on, and stop at the first answer."""
    for size in range(first, len(counts) + 1):
        answer = look(counts[:size], anytime=anytime).answer
        if answer is not Answer.UNDECIDED:
            return answer, size
    return Answer.UNDECIDED, len(counts)


def fixed_then_on(counts: Sequence[int]) -> tuple[Answer, int]:
    answer = look(counts[:5], anytime=False).answer
    return (answer, 5) if answer is not Answer.UNDECIDED else after_each(counts, 5, anytime=True)


PROCEDURES = (
    fixed(3),
    fixed(5),
    fixed(10),
    Procedure(name="until decided, 20", decide=lambda counts: after_each(counts, 2, anytime=True), most=20),
    Procedure(name="until decided, 60", decide=lambda counts: after_each(counts, 2, anytime=True), most=60),
    Procedure(name="fixed 5, then on", decide=fixed_then_on, most=20, error=0.10),
    Procedure(name="naive", decide=lambda counts: after_each(counts, 2, anytime=False), most=20, error=None),
)


def normal_counts(mean: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(generator.normal(mean, DEVIATION, shape)), 0, TOTAL).astype(int)


def binomial_counts(mean: float, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    return generator.binomial(TOTAL, mean / TOTAL, shape)


SPREADS = {"normal": normal_counts, "binomial": binomial_counts}
ALLOWED = {"normal": 1.0, "binomial": 1.2}
"""By what the stated errors are multiplied: they are those of normal accuracies."""


def simulate(procedure: Procedure, offset: float, replications: int, spread: str = "normal", seed: int = SEED) -> Rates:
    """Return how often recipes whose mean lies `offset` percentage points beside the limit get each answer."""
    generator = np.random.default_rng(seed)
    mean = float(TOTAL * LIMIT) + offset / 100 * TOTAL
    counts = SPREADS[spread](mean, (replications, procedure.most), generator).tolist()
    answers, seeds = zip(*map(procedure.decide, counts), strict=True)
    kept, broken, undecided = (answers.count(answer) / replications for answer in Answer)
    return Rates(
        kept=kept,
        broken=broken,
        undecided=undecided,
        mean_seeds=float(np.mean(seeds)),
        most_seeds=float(np.quantile(seeds, 0.9)),
    )


def excess(procedure: Procedure, offset: float, rates: Rates, replications: int, spread: str = "normal") -> str:
    """Return which error is more frequent than what is stated, beyond four standard errors; empty if none is."""
    if procedure.error is None:
        return ""
    error = procedure.error * ALLOWED[spread]
    allowed = error + 4 * (error * (1 - error) / replications) ** 0.5
    wrong = {"kept": rates.kept if offset <= 0 else 0.0, "broken": rates.broken if offset >= 0 else 0.0}
    return ", ".join(f"{name} TOO OFTEN" for name, rate in wrong.items() if rate > allowed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=10_000)
    options = parser.parse_args()
    right = True
    for spread in SPREADS:
        print(f"\n{spread} counts, {options.replications:,} recipes each")
        print(f"{'procedure':<20}{'mean':>7}{'kept':>8}{'broken':>8}{'undecided':>11}{'seeds':>8}{'90 %':>6}")
        for procedure in PROCEDURES:
            for offset in OFFSETS:
                rates = simulate(procedure, offset, options.replications, spread)
                fault = excess(procedure, offset, rates, options.replications, spread)
                right &= not fault
                print(
                    f"{procedure.name:<20}{offset:>+7.2f}{100 * rates.kept:>8.2f}{100 * rates.broken:>8.2f}"
                    f"{100 * rates.undecided:>11.2f}{rates.mean_seeds:>8.1f}{rates.most_seeds:>6.0f}  {fault}",
                    flush=True,
                )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
