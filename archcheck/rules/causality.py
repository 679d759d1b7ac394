"""Causality: how far the outputs look into the future of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.facts.probe_names import need
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import amount
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.axis_names import check_axis
from archcheck.rules.queries.placed_findings import model_finding
from archcheck.rules.queries.probe_answers import probed


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxLookAhead(Rule):
    """No output position depends on an input more than `limit` positions after its own.

    With a limit of 0 the model is causal. The measurement exchanges the input from a position on, and sees which
    output positions change. It does so with the parameters as they are, and with all of them moved a little, because
    weights that start at zero do not stay there. A mask that `forward` applies stays one.

    The positions lie along `axis`: `length` (the default, or `time`), `height`, `width`, `depth`, or a number.
    `output-axis` is the number of that axis in the output, if it cannot be found by a longer input. `input` is the
    position (from 0) or the keyword of the input. All outputs that grow with the input count. An output of one position
    for each `hop` input positions may depend on these without looking ahead: position `t` on the input up to `(t + 1) *
    hop - 1`. The outputs of a network that does not pad are aligned at the end. Divide positions by the sampling rate
    for seconds.

    Example, kept:
        rule = max-look-ahead = 0
        model = nn.Sequential(nn.ZeroPad1d((2, 0)), nn.Conv1d(1, 4, 3), nn.ReLU())
        input = [1, 1, 32]

    Example, broken:
        rule = max-look-ahead = 0
        model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU())
        input = [1, 1, 32]
        says = the output at 30 depends on the input at 31: a look-ahead of 1 position, at most 0 are allowed

    Example, kept:
        rule = max-look-ahead = { limit = 2, axis = "length" }
        model = nn.Sequential(nn.Conv1d(1, 4, 5, padding=2), nn.ReLU())
        input = [1, 1, 32]
    """

    narrows = False
    limit: int = field(metadata={"least": 0})
    axis: int | str = field(default="length", metadata={"check": check_axis})
    input: int | str | None = None
    output_axis: int | None = None

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The probe, with the axes."""
        return (
            need("look-ahead", axis=str(self.axis), input=self.input, output_axis=self.output_axis, limit=self.limit),
        )

    def check(self, facts: Facts) -> Result:
        """Compare the farthest look-ahead with `limit`."""
        measured = probed(self, facts)
        worst, moved = max(((measured, False), (measured["trained"], True)), key=lambda each: int(each[0]["farthest"]))
        found = int(worst["farthest"])
        findings: tuple[Finding, ...] = ()
        if found > self.limit:
            findings = (self._finding(worst, facts, moved=moved and measured["farthest"] <= self.limit),)
        elif (unknown := max(measured["possible"], measured["trained"]["possible"])) > self.limit:
            raise NotMeasured(
                f"passes in the time that there is show {amount(found, 'positions')} of look-ahead, and up to "
                f"{unknown:,} are possible",
                where=facts.subject.where,
                fix="give a shorter example input",
            )
        return Result(
            examined=int(worst["outputs"]),
            findings=findings,
            found=found,
            limit=self.limit,
            unit="positions of look-ahead",
            kept=f"outputs look ahead by at most {amount(max(found, self.limit), 'positions')}",
        )

    def _finding(self, worst: Mapping[str, Any], facts: Facts, *, moved: bool) -> Finding:
        trained = ", once parameters that start at zero are trained" if moved else ""
        output = "the output" if worst.get("output") is None else f"output {worst['output']}"
        hop = f" (an output for each {worst['hop']:g} inputs)" if worst["hop"] != 1 else ""
        return model_finding(
            facts,
            f"{output} at {worst['position']:,} depends on the input at {worst['seen']:,}{trained}: a "
            f"look-ahead of {amount(int(worst['farthest']), 'positions')}{hop}, at most {self.limit:,} are allowed",
            "pad on the left only, mask attention, use no statistics over time, or raise max-look-ahead",
        )
