"""Behaviour: what a network does with real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archcheck.errors import NotMeasured
from archcheck.facts import Facts
from archcheck.findings import Finding, Result
from archcheck.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProbabilities(Rule):
    """The first output is log-probabilities: along the class axis its exponentials sum to one.

    That is what `nn.NLLLoss` expects. The class axis is 1, as in `(N, C)` and `(N, C, H, W)`. Measured in
    evaluation mode on the example and on ten times the example; `tolerance` bounds the distance of the sums
    from one (float32 rounding of a sum over 1,000 classes stays below 1e-4).

    Example, kept:
        rule = log-probabilities = true
        model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=1))
        input = [2, 3]

    Example, broken:
        rule = log-probabilities = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1))
        input = [2, 3]
        says = the output is no log-probabilities
    """

    narrows = False
    needs = ("log-probabilities",)
    tolerance: float = 1e-4

    def check(self, facts: Facts) -> Result:
        """Compare the measured sums with one."""
        facts.demand_numbers()
        measured = facts.behaviour.get("log-probabilities")
        if measured is None:
            raise NotMeasured("the output's values were not measured")
        error, fault = measured["sum_error"], self._fault(measured)
        findings: tuple[Finding, ...] = ()
        if fault is not None:
            message = f"the output is no log-probabilities: {fault}"
            fix = "end the network in `nn.LogSoftmax(dim=1)`, or drop the rule and train with `nn.CrossEntropyLoss`"
            findings = (Finding(message=message, layer="", where=facts.subject.where, fix=fix),)
        return Result(
            examined=1,
            findings=findings,
            found=error,
            limit=self.tolerance,
            unit="distance of the sums from one",
            kept=f"the sums are one within {self.tolerance:g}",
        )

    def _fault(self, measured: Mapping[str, Any]) -> str | None:
        error, axis = measured["sum_error"], min(1, max(0, len(measured["shape"]) - 1))
        if not measured["finite"]:
            return "it holds NaN or infinity"
        if error is None:
            return f"the sums of exponentials along axis {axis} are beyond all numbers"
        if error <= self.tolerance:
            return None
        return f"exponentials along axis {axis} sum to one within {error:.3g}, limit {self.tolerance:g}"
