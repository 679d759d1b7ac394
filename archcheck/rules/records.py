"""Records: whether the runs of a subject are better than those that somebody else has recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import fmean
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.json_documents import json_of
from archcheck.foundation.json_pointers import check_pointer, value_at
from archcheck.foundation.source_place import Where
from archcheck.foundation.statistics.confidence_intervals import LEAST_SPREAD
from archcheck.foundation.statistics.two_samples import Comparison, welch
from archcheck.foundation.text_files import Stated
from archcheck.foundation.words import amount, quote
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.training_runs import accuracies, faults_of_runs, result_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Beats(Rule):
    """The mean of the recorded runs is better than that of another `record`, by at least `by`.

    Better by chance is not better: a one-sided test of Welch must reject a smaller difference at the `level`, 1 % by
    default. About that share of the entries that are exactly `by` better is kept: between 0.4 and 1.7 % with 2 to 10
    runs on each side, in a simulation. Both records need at least two runs.

    By default the test accuracies of the subject's own training record are compared with those of the other record.
    `metric` is another number of each run, as a path of keys: `"test.loss"`. `lower = true` says that less is better.
    `own` names a JSON file with the subject's runs, if `archcheck train` did not record them. `runs` is the JSON
    pointer to the list or table of runs in these files, by default `/runs`. Runs that are numbers themselves need no
    `metric`.

    In a contract: `beats = { record = "record.json", own = "submission.json", runs = "/seeds", metric = "val_loss",
    lower = true, by = 0.005, level = 0.01 }`

    Example, kept:
        rule = beats = { record = "old.json", own = "new.json", runs = "", lower = true, by = 0.005 }
        texts = { "old.json" = "[1.231, 1.229, 1.230]", "new.json" = "[1.211, 1.209, 1.210]" }
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = beats = { record = "old.json", own = "new.json", runs = "", lower = true, by = 0.005 }
        texts = { "old.json" = "[1.231, 1.229, 1.230]", "new.json" = "[1.223, 1.227, 1.215]" }
        model = nn.Linear(3, 4)
        input = [1, 3]
        says = the mean of 3 runs is better by 0.00833, which chance explains
    """

    narrows = False
    record: str
    by: float = field(default=0.0, metadata={"unit": "share", "least": 0})
    level: float = field(default=0.01, metadata={"unit": "share"})
    metric: str | None = None
    lower: bool = False
    own: str | None = None
    runs: str = "/runs"

    def __post_init__(self) -> None:
        """Refuse a margin below zero, a level that proves nothing, and a pointer that is none."""
        Rule.__post_init__(self)
        if not 0 < self.level < 0.5:
            raise ValueError(f"`level` is a share above 0 and below 0.5, found {self.level:g}")
        check_pointer(self.runs, "runs")
        if not self.record.strip() or (self.own is not None and not self.own.strip()):
            raise ValueError("`record` and `own` name files")

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """The training record, if the subject's own runs are there."""
        return () if self.own else ("training",)

    @property
    def reads(self) -> tuple[str, ...]:
        """The files of the records."""
        return (self.record, self.own) if self.own else (self.record,)

    @property
    def proves(self) -> tuple[Stated, ...]:
        """The numbers of both that are compared: the metric of each run, or its result on the test set, or itself."""
        below = ("", "/test") if self.metric is None else (_pointer(self.metric),)
        return tuple(
            Stated(file=file, pointer=f"{self.runs}/*{each}", by="beats", itself=each != "/test")
            for file in self.reads
            for each in below
        )

    def check(self, facts: Facts) -> Result:
        """Compare the two means."""
        theirs, spread = self._recorded(self.record, facts)
        ours, own_spread = self._recorded(self.own, facts) if self.own else self._trained(facts)
        sign = -1 if self.lower else 1
        found = welch(
            [sign * value for value in ours], [sign * value for value in theirs], least_spread=max(spread, own_spread)
        )
        p = found.p_value(self.by)
        told = f"the mean of {amount(len(ours), 'runs')} is {self._told(found)}"
        means = f"{fmean(ours):.6g} against {fmean(theirs):.6g} of {amount(len(theirs), 'runs')} in {self.record}"
        findings: tuple[Finding, ...] = ()
        if p > self.level:
            findings = (self._finding(told, means, p, found, facts),)
        return Result(
            examined=len(ours),
            findings=findings,
            found=found.gap,
            limit=self.by,
            kept=f"{told} ({means}), p = {p:.2g}",
        )

    def _told(self, found: Comparison) -> str:
        better = "better" if found.gap > 0 else "worse"
        return f"{better} by {abs(found.gap):.3g}" if found.gap else "the same"

    def _finding(self, told: str, means: str, p: float, found: Comparison, facts: Facts) -> Finding:
        enough = found.gap > self.by
        why = f"which chance explains: p = {p:.2g}, at most {self.level:g} is allowed" if enough else ""
        short = f"at least {self.by:g} is asked for" if not enough else ""
        margin = f" for a margin of {self.by:g}" if enough and self.by else ""
        return Finding(
            message=f"{told}, {why or short}{margin} ({means})",
            layer="",
            where=Where(file=self.own, line=1) if self.own else facts.subject.where,
            fix="add runs until the difference is certain, or train a better model",
        )

    def _trained(self, facts: Facts) -> tuple[list[float], float]:
        """Return a number of each run of the subject's own record, and the spread below which none is believed."""
        shares = accuracies(facts)
        runs = ((facts.training and facts.training.record) or {}).get("runs", ())
        if self.metric is None:
            self._demand_two(len(shares), "the training record")
            return [float(share) for share in shares], LEAST_SPREAD / int(runs[0]["test"]["total"])
        return self._numbers(runs, "the training record"), 0.0

    def _recorded(self, file: str, facts: Facts) -> tuple[list[float], float]:
        """Return the same of the runs in a file."""
        text = facts.texts[file]
        try:
            document = json_of(text.demand().encode())
        except ValueError as error:
            raise self._unread(f"{text.shown} is {error}", text.shown) from None
        runs = value_at(document, self.runs)
        runs = list(runs.values()) if isinstance(runs, Mapping) else runs
        if not isinstance(runs, list):
            raise self._unread(f"{text.shown} has no list of runs at {quote(self.runs)}", text.shown)
        read = [run for run in runs if isinstance(run, Mapping)]
        if self.metric is not None or not read:
            return self._numbers(runs, text.shown), 0.0
        if len(read) < len(runs):
            raise self._unread(f"{text.shown} has runs that are no tables", text.shown)
        results = [result for run in read if (result := result_of(run))]
        if not results:
            raise self._unread(f"{text.shown} records no accuracy; name the number of a run as `metric`", text.shown)
        if faults := [*faults_of_runs(read)]:
            raise self._unread(f"{text.shown}: {faults[0]}", text.shown)
        self._demand_two(len(results), text.shown)
        return [float(Fraction(*each)) for each in results], LEAST_SPREAD / results[0][1]

    def _numbers(self, runs: Any, shown: str) -> list[float]:
        values = [*self._values(runs, shown)]
        self._demand_two(len(values), shown)
        if len(set(values)) == 1:
            raise self._unread(f"all runs in {shown} are the same, so nothing tells their spread", shown)
        return values

    def _values(self, runs: Any, shown: str) -> Iterator[float]:
        path = "" if self.metric is None else _pointer(self.metric)
        for number, run in enumerate(runs):
            value = value_at(run, path)
            if isinstance(value, bool) or not isinstance(value, int | float):
                named = f" {quote(self.metric)}" if self.metric else ""
                raise self._unread(f"run {number} in {shown} has no number{named}", shown)
            yield float(value)

    def _demand_two(self, count: int, shown: str) -> None:
        if count < 2:
            raise self._unread(f"{shown} holds {amount(count, 'runs')}, and a spread needs two or more", shown)

    def _unread(self, message: str, shown: str) -> NotMeasured:
        where = None if shown.startswith("the ") else Where(file=shown, line=1)
        return NotMeasured(message, where=where, fix="mend the record, or what `beats` says of it")


def _pointer(metric: str) -> str:
    """Return the JSON pointer from a run to the number that `metric` names."""
    return "/" + metric.replace(".", "/")
