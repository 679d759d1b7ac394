"""Findings, results, outcomes and reports: what rules return, and what the engine makes of it."""

from __future__ import annotations

import enum
import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archcheck.facts.facts import Facts, check_graph
from archcheck.facts.weight_files import Weights
from archcheck.foundation.display import Displayed
from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.foundation.json_codec import decode, encode
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import amount, quote, visible

SCHEMA = 1
"""Version of the JSON report; it changes when a key changes its meaning or goes away."""


MOST_POINTS = 1_000_000_000
"""Most points of a rule. Sums of larger numbers are not exact, or overflow."""


class Verdict(enum.StrEnum):
    """The verdict on a rule. Only `kept` and `waived` let a run pass."""

    KEPT = "kept"
    BROKEN = "broken"
    WAIVED = "waived"
    VACUOUS = "vacuous"
    ERROR = "error"


def _check_points(points: float | None, earned: float | None, most: int) -> None:
    for name, value in (("points", points), ("earned", earned)):
        if value is not None and not -most <= value <= most:
            raise ValueError(f"`{name}` must be at most {most:,}, found {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason why a rule is broken. `message` is complete in itself, `layer` is the path that it is about."""

    message: str
    layer: str | None = None
    where: Where | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What `Rule.check` returns: how much it examined, its findings, and the figures to show.

    `found` and `limit` are the compared figures, in `unit`. `kept` is a sentence for a kept rule, where figures alone
    are hard to read. `most` names the largest contributors. `notes` add what a reader of a kept rule should know.
    """

    examined: int
    findings: tuple[Finding, ...] = ()
    found: Any = None
    limit: Any = None
    unit: str | None = None
    kept: str | None = None
    most: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One rule of a contract with its verdict.

    `instance` distinguishes several instances of a rule (`max-params`, `followed-by-2`). `contract` is the line that
    states it. `title` is what those who are graded read instead of it. `waived` are the findings that a waiver accepts,
    and `waiver` is its reason and its last day. `points` is the worth of the rule, and `earned` is that, zero, or the
    points of a band; both are `None` for a rule without points.
    """

    rule: str
    instance: str
    verdict: Verdict
    found: Any = None
    limit: Any = None
    unit: str | None = None
    kept: str | None = None
    findings: tuple[Finding, ...] = ()
    most: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    because: str | None = None
    contract: Where | None = None
    title: str | None = None
    waived: tuple[Finding, ...] = ()
    waiver: str | None = None
    points: float | None = None
    earned: float | None = None

    def __post_init__(self) -> None:
        """Refuse points that cannot be summed up."""
        _check_points(self.points, self.earned, MOST_POINTS)

    @property
    def fails(self) -> bool:
        """Whether this outcome keeps the run from passing."""
        return self.verdict not in (Verdict.KEPT, Verdict.WAIVED)

    @property
    def headline(self) -> str:
        """The line that is complete in itself, for the concise format, pytest, annotations and tables."""
        return f"{self.verdict.value} {self.instance}: {self.summary}"

    @property
    def summary(self) -> str:
        """What was found, without the verdict."""
        if self.findings:
            return self.findings[0].message + self._rest()
        if self.verdict is Verdict.VACUOUS:
            return "there was nothing for this rule to look at"
        if self.waived:
            rest = f"and {len(self.waived) - 1:,} more, " if self.waived[1:] else ""
            return f"{self.waived[0].message} ({rest}waived: {self.waiver})"
        return self.kept or figures(self.found, self.limit, self.unit) or "as promised"

    def _rest(self) -> str:
        """Return ` (and 3 more)`: the number of further findings, and of further findings about waivers."""
        of_waivers = sum(self._is_of_contract(each) for each in self.findings[1:])
        findings = len(self.findings) - 1 - of_waivers
        waivers = f"{amount(of_waivers, 'waivers')} to mend" if of_waivers else ""
        parts = [f"{findings:,} more" if findings else "", waivers]
        return f" (and {', and '.join(filter(None, parts))})" if any(parts) else ""

    def _is_of_contract(self, finding: Finding) -> bool:
        """Whether a finding points into the contract, because it is about a waiver and not about the model."""
        return finding.where is not None and self.contract is not None and finding.where.file == self.contract.file


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementFailure:
    """Why a subject could not be measured."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report(Displayed):
    """A subject, its facts (or why there are none) and the outcome of every rule of its contract.

    A file of tensors without structure has `weights` instead of facts. `points` is the sum of the points of its rules,
    or `None` if no rule has points. `earned` is the earned part: nothing if the subject could not be measured.
    """

    subject: str
    facts: Facts | None = None
    error: MeasurementFailure | None = None
    weights: Weights | None = None
    outcomes: tuple[Outcome, ...] = ()
    points: float | None = None
    earned: float | None = None

    def __post_init__(self) -> None:
        """Refuse points that cannot be summed up."""
        _check_points(self.points, self.earned, MOST_POINTS**2)

    @property
    def exit_code(self) -> int:
        """0 when every rule is kept or waived, 2 when something could not be checked, else 1."""
        if self.error or any(outcome.verdict is Verdict.ERROR for outcome in self.outcomes):
            return 2
        return int(any(outcome.fails for outcome in self.outcomes))

    def verify(self) -> Report:
        """Return this report if it passes.

        Raises:
            SubjectError: the subject could not be measured.
            BrokenContract: a rule is broken, vacuous or could not be judged.
        """
        if self.error:
            raise SubjectError(self.error.kind, self.error.message)
        if self.exit_code:
            raise BrokenContract(self)
        return self

    @property
    def headline(self) -> str:
        """The subject and how many rules have each verdict, on one line."""
        if self.error:
            return f"Report of {self.subject}: could not be measured"
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.totals.items() if count)
        return f"Report of {self.subject}: {verdicts}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values. A report without facts has `error` or `weights` instead.

        `totals` counts the rules by verdict. It is computed again when a report is read.
        """
        encoded: dict[str, Any] = encode(self)
        has = "facts" if self.facts else "weights" if self.weights else "error"
        for name in {"facts", "error", "weights"} - {has}:
            del encoded[name]
        return {**encoded, "totals": self.totals}

    @property
    def totals(self) -> dict[str, int]:
        """How many rules there are, and how many with each verdict."""
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        return {"rules": len(self.outcomes), **{verdict.value: counts[verdict] for verdict in Verdict}}


class BrokenContract(ArchcheckError, AssertionError):  # noqa: N818 - it is a verdict, not a mishap
    """Raised by `Report.verify()`; `report` holds every outcome."""

    def __init__(self, report: Report) -> None:
        self.report = report
        lines = [line for outcome in report.outcomes if outcome.fails for line in _explained(report, outcome)]
        super().__init__("\n".join(map(visible, lines)) or f"{visible(report.subject)}: could not be checked")


def _explained(report: Report, outcome: Outcome) -> Iterator[str]:
    """Yield what fails, and for each finding where it is and what to do."""
    yield outcome.headline
    for number, finding in enumerate(outcome.findings):
        if number:
            yield f"  {finding.message}"
        built = report.facts.built_at(finding.layer) if report.facts and finding.layer is not None else None
        if place := finding.where or built or (report.facts.subject.where if report.facts else None):
            yield f"  at {place}" + (f", layer {finding.layer}" if finding.layer else "")
        if finding.fix:
            yield f"  fix: {finding.fix}"
    if outcome.because:
        yield f"  why: {outcome.because}"
    if outcome.contract and outcome.contract.line:
        yield f"  stated at {outcome.contract}"


def sum_points(points: Iterable[float]) -> float:
    """Return the sum of points as people add decimal fractions: a tenth three times is 0.3."""
    return round(math.fsum(points), 9)


def figures(found: Any, limit: Any, unit: str | None) -> str:
    """Return `13,086 parameters, limit 19,999`, without the parts that are missing."""
    if found is None:
        return ""
    text = plain(found) + (f" {unit}" if unit else "")
    return text if limit is None else f"{text}, limit {plain(limit)}"


def plain(value: Any) -> str:
    """Write a figure for people: integers with separators, lists without quotes."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return str(value)


def reports_to_json(reports: tuple[Report, ...]) -> dict[str, Any]:
    """Return the JSON document of one or many reports."""
    return {"schema": SCHEMA, "reports": [report.to_json() for report in reports]}


def reports_from_json(value: Any) -> tuple[Report, ...]:
    """Read what `reports_to_json` wrote. Raises `ValueError` for anything else, or another schema."""
    if not isinstance(value, Mapping) or "reports" not in value:
        raise ValueError('not a report of archcheck: no key "reports"')
    schema = value.get("schema")
    if type(schema) is not int or schema != SCHEMA:  # to Python, `true` is 1
        raise ValueError(f"a report of schema {reprlib.repr(schema)}; this archcheck reads schema {SCHEMA}")
    reports = decode(tuple[Report, ...], value["reports"], at="reports")
    for report in reports:
        if (report.facts, report.error, report.weights).count(None) != 2:
            raise ValueError(f"the report of {quote(report.subject)} must hold one of facts, weights and error")
        if report.facts is not None:
            check_graph(report.facts)
    return reports
