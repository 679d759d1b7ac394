"""What a teacher wants to know about a class: the distribution of points, what fails most, who was not measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from archcheck.integrations.grades import Grade
from archcheck.rules.findings import plain

_TENTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How many students earned this part of their points. `most` is the number of the longest bar."""

    label: str
    students: int
    most: int

    def width(self, full: int) -> int:
        """Return the length of the bar; the longest is `full`, and one student is seen."""
        return max(1, round(full * self.students / self.most)) if self.students else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFailures:
    """How many of the measured submissions do not keep a rule."""

    title: str
    failed: int
    judged: int

    @property
    def share(self) -> float:
        """The failed part of those that were judged, from 0 to 1."""
        return self.failed / self.judged if self.judged else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The page about a class. `bars` and `average` are empty without points; `rules` begins with what fails most."""

    grades: tuple[Grade, ...]
    bars: tuple[Bar, ...]
    average: str
    rules: tuple[RuleFailures, ...]
    unmeasured: tuple[Grade, ...]


def summary_of(grades: Sequence[Grade]) -> Summary:
    """Return the summary of all grades, in their order."""
    shares = [(grade.earned or 0) / grade.points for grade in grades if grade.points]
    return Summary(
        grades=tuple(grades),
        bars=_bars(grades, shares),
        average=_average(grades, shares),
        rules=_rules(grades),
        unmeasured=tuple(grade for grade in grades if grade.reason),
    )


def _bars(grades: Sequence[Grade], shares: Sequence[float]) -> tuple[Bar, ...]:
    """Return a bar for each number of points if all grades are whole points of at most ten, else for each tenth."""
    worths = {grade.points for grade in grades if grade.points}
    top = max(worths, default=0)
    small = len(worths) == 1 and top <= _TENTHS and all(float(grade.earned or 0).is_integer() for grade in grades)
    if not shares:
        return ()
    if small and float(top).is_integer():
        counts = Counter(int(grade.earned or 0) for grade in grades if grade.points)
        labels = {at: str(at) for at in range(int(top) + 1)}
    else:
        counts = Counter(min(int(share * _TENTHS), _TENTHS) for share in shares)
        labels = {at: f"{10 * at} to {10 * at + 9} %" for at in range(_TENTHS)} | {_TENTHS: "100 %"}
    most = max(counts.values())
    return tuple(Bar(label=label, students=counts[at], most=most) for at, label in labels.items())


def _average(grades: Sequence[Grade], shares: Sequence[float]) -> str:
    if not shares:
        return ""
    if len({grade.points for grade in grades if grade.points}) > 1:
        return f"The mean is {fmean(shares):.0%} of the points, the median {median(shares):.0%}."
    earned = [grade.earned or 0.0 for grade in grades if grade.points]
    top = next(grade.points for grade in grades if grade.points)
    return f"Of {plain(float(top))} points, the mean is {fmean(earned):.2f}, the median {plain(float(median(earned)))}."


def _rules(grades: Sequence[Grade]) -> tuple[RuleFailures, ...]:
    """Return each rule by how many do not keep it; submissions that could not be measured count for none."""
    failed: Counter[tuple[str, str, str]] = Counter()
    judged: Counter[tuple[str, str, str]] = Counter()
    for grade in grades:
        for item in () if grade.reason else grade.items:
            key = (grade.assignment, item.instance, item.title)
            judged[key] += 1
            failed[key] += item.fails
    found = (RuleFailures(title=key[-1], failed=failed[key], judged=judged[key]) for key in judged)
    return tuple(sorted(found, key=lambda rule: -rule.failed))
