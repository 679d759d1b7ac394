"""Scores: a formula of figures, such as the one by which a challenge ranks its entries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from archcheck.facts.facts import Facts
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result, plain
from archcheck.rules.queries.figure_formulas import Formula, demand_costs
from archcheck.rules.queries.figures import value_text
from archcheck.rules.queries.placed_findings import model_finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Score(Rule):
    """The value of a `formula` of figures is at most `at-most`, and at least `at-least`.

    A formula relates several budgets to each other, or to those of a baseline. Its names are the figures of `claim`:
    `params.total`, `params.bytes`, `cost.macs`, `training.accuracy` and others. Numbers may be written as `276_000`,
    `16.7G`, `128 KiB` or `50 %`. There are `+`, `-`, `*`, `/`, `**` and brackets, and the functions `exp`, `log`
    (natural, or with a base), `log2`, `log10`, `sqrt`, `min`, `max`, `abs`, `floor` and `ceil`. A number of a list in
    the training record is `training.record.runs[0].seed`.

    If the cost of an executed operation is unknown, a formula of costs has no value, and the verdict is `error`. `free`
    names operations that cost nothing, as for `max-macs`.

    In a contract: `score = { formula = "0.3 * params.total / 276k + 0.7 * exp(cost.macs / 16.7G - 1)", at-most = 1 }`

    Example, kept:
        rule = score = { formula = "params.total / 32 + cost.macs / 24", at-most = 1 }
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = score = { formula = "0.5 * params.total / 10 + 0.5 * exp(cost.macs / 12 - 1)", at-most = 1 }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = the score is 1.3, at most 1 is allowed (+30.0 %): params.total is 16, cost.macs is 12

    Example, error:
        rule = score = { formula = "1 / (params.total - 16)", at-most = 1 }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = the formula divides by zero where params.total is 16
    """

    narrows = False
    formula: str
    at_most: float | None = None
    at_least: float | None = None
    free: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no formula of figures, and a score without a bound."""
        Rule.__post_init__(self)
        try:
            Formula(self.formula)
        except ValueError as error:
            raise ValueError(f"the formula {error}") from None
        if self.at_most is None and self.at_least is None:
            raise ValueError("give `at-most` or `at-least`: without a bound every score is kept")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(f"`at-least` is {self.at_least:g}, above `at-most`, {self.at_most:g}")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The training record, if a figure comes from it."""
        return ("training",) if Formula(self.formula).needs_training else ()

    def check(self, facts: Facts) -> Result:
        """Compare the value of the formula with its bounds."""
        formula = Formula(self.formula)
        demand_costs(formula.paths, facts, self.free)
        value, figures = formula.value(facts), formula.figures(facts)
        told = ", ".join(f"{path} is {value_text(path, each, exact=True)}" for path, each in figures.items())
        return Result(
            examined=len(figures),
            findings=self._findings(value, told, facts),
            found=float(value),
            limit=self.at_least if self.at_most is None else self.at_most,
            unit="score",
            kept=f"the score is {plain(float(value))}, {self._bounds()}: {told}",
        )

    def _findings(self, value: Fraction, told: str, facts: Facts) -> tuple[Finding, ...]:
        above = self.at_most is not None and value > Fraction(repr(self.at_most))
        below = self.at_least is not None and value < Fraction(repr(self.at_least))
        if not above and not below:
            return ()
        limit = self.at_most if above else self.at_least
        assert limit is not None
        bound = f"at {'most' if above else 'least'} {plain(limit)} is {'allowed' if above else 'asked for'}"
        by = _by(float(value), limit) if limit > 0 else ""
        shown = _apart(float(value), limit)
        message = f"the score is {shown}, {bound}{by}: {told}"
        return (model_finding(facts, message, _LOWER if above else _HIGHER),)

    def _bounds(self) -> str:
        most = "" if self.at_most is None else f"at most {plain(self.at_most)}"
        least = "" if self.at_least is None else f"at least {plain(self.at_least)}"
        return " and ".join(filter(None, (least, most)))


_LOWER = "change the figures so that the score falls, or raise `at-most`"
_HIGHER = "change the figures so that the score rises, or lower `at-least`"


def _by(value: float, limit: float) -> str:
    """Return by how much a value differs from the limit, in percent, as text in brackets."""
    more = 100 * (value / limit - 1)
    return f" ({more:+.1f} %)" if abs(more) < _MANY else f" ({more:+.2g} %)" if math.isfinite(more) else ""


_MANY = 1e9
"""Percent that are written out; more are rounded."""


def _apart(value: float, limit: float) -> str:
    """Return a value with as many digits as tell it from the limit."""
    digits = next((each for each in range(6, 17) if float(f"{value:.{each}g}") != limit), 17)
    return f"{value:.{digits}g}"
