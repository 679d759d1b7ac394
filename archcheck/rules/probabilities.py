"""Log-probabilities: what a loss expects from the last layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.rules.base import Rule
from archcheck.rules.findings import Result
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.probe_answers import probed


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProbabilities(Rule):
    """The first output is log-probabilities: along the class axis its exponentials sum to one.

    `nn.NLLLoss` expects this. The class axis is `axis`, by default 1 as in `(N, C)` and `(N, C, H, W)`. For the `(N, T,
    C)` of a language model write `axis = -1`. The rule measures in evaluation mode, on the example and on ten times the
    example. `tolerance` bounds the distance of the sums from one. Float32 rounding of a sum over 1,000 classes stays
    below 1e-4.

    Example, kept:
        rule = log-probabilities = true
        model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=1))
        input = [2, 3]

    Example, kept:
        rule = log-probabilities = { axis = -1 }
        model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=2))
        input = [2, 5, 3]

    Example, broken:
        rule = log-probabilities = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
        input = [2, 3]
        says = the output is not log-probabilities
    """

    narrows = False
    tolerance: float = field(default=1e-4, metadata={"least": 0})
    axis: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe, with the axis if one is given."""
        return (need("log-probabilities", axis=self.axis),)

    def check(self, facts: Facts) -> Result:
        """Compare the measured sums with one."""
        measured = probed(self, facts)
        error, fault = measured["sum_error"], self._fault(measured)
        message = f"the output is not log-probabilities: {fault}"
        return Result(
            examined=1,
            findings=(model_finding(facts, message, _fix(measured)),) if fault else (),
            found=error,
            limit=self.tolerance,
            unit="distance of the sums from one",
            kept=f"the sums are one within {self.tolerance:g}",
        )

    def _fault(self, measured: Mapping[str, Any]) -> str | None:
        error, axis = measured["sum_error"], measured["axis"]
        if not measured["finite"]:
            return "it holds NaN or infinity"
        if error is None:
            return f"the sums of exponentials along axis {axis} are beyond all numbers"
        if error <= self.tolerance:
            return None
        return f"exponentials along axis {axis} sum to one within {error:.3g}, limit {self.tolerance:g}"


def _fix(measured: Mapping[str, Any]) -> str:
    if measured["others"]:
        return f"they do along axis {measured['others'][-1]}: name it, as in `axis = {measured['others'][-1]}`"
    return (
        f"end the network in `nn.LogSoftmax(dim={measured['axis']})`, or drop the rule and train with "
        "`nn.CrossEntropyLoss`"
    )
