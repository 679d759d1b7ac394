"""What agents may call: the commands of the command line with typed results."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import shape_text

if TYPE_CHECKING:
    from archcheck.facts.facts import Facts
    from archcheck.rules.findings import Finding, Outcome, Report
    from archcheck.workers.worker_process import Worker


@dataclass(frozen=True, kw_only=True)
class ToolFinding:
    """One reason why a rule is broken: `fix` is the next step, `file` and `line` the place to look at."""

    message: str
    fix: str
    layer: str | None
    file: str | None
    line: int | None


@dataclass(frozen=True, kw_only=True)
class ToolOutcome:
    """One rule with its verdict: kept, broken, waived, vacuous (nothing to look at) or error (not judged)."""

    rule: str
    verdict: str
    summary: str
    because: str | None
    findings: list[ToolFinding]


@dataclass(frozen=True, kw_only=True)
class ToolLayer:
    """A layer that is executed or built: parameters of its subtree, output shapes, multiply-accumulates."""

    path: str
    type: str
    parameters: int
    outputs: list[str]
    macs: int
    file: str | None
    line: int | None


@dataclass(frozen=True, kw_only=True)
class ToolReport:
    """A subject: its totals if it was measured, else `error`, and the outcome of each of its rules."""

    subject: str
    error: str | None
    parameters: int | None
    macs: int | None
    peak_activation_bytes: int | None
    inputs: list[str]
    outputs: list[str]
    layers: list[ToolLayer]
    outcomes: list[ToolOutcome]


@dataclass(frozen=True, kw_only=True)
class Reports:
    """The reports of a target."""

    reports: list[ToolReport]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The whole run: it passes only if every rule is kept or waived. `exit_code` is that of `archcheck check`."""

    passes: bool
    exit_code: int
    reports: list[ToolReport]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the manual, or a contract, as text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs of a subject: `grew` says whether a total is larger now."""

    subject: str
    same: bool
    grew: bool
    summary: str


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What differs between two reports or snapshots, subject by subject."""

    subjects: list[Difference]


class AgentTools:
    """The tools. They take turns, and measure in one worker, which keeps torch imported between two calls."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turn = threading.Lock()

    def report(self, target: str, input: Sequence[str] = (), args: Sequence[str] = ()) -> Reports:  # noqa: A002
        """Measure a model and show its layers, parameters, shapes and costs. A broken rule is no error.

        `target` is `file.py`, `file.py:Class`, a file of weights, or a subject of the contract. `input` are shapes such
        as `1,1,28,28` or `1,16:int64`, `args` arguments of the constructor such as `width=16`.
        """
        from archcheck.cli.targets import reports_in

        shapes = [word for shape in input for word in ("--input", shape)]
        options = _options("report", *shapes, *(("--args", *args) if args else ()), "--", target)
        with self._turn:
            found = reports_in(self._worker, options).reports
        return Reports(reports=[_report(each, with_layers=True) for each in found])

    def check(self, subjects: Sequence[str] = (), contract: str | None = None) -> Judged:
        """Judge the subjects of the contract, all by default, as `archcheck check` does. `contract` is another file.

        Mend the model, not the contract: `explain` with the topic `agents` says what counts as a repair.
        """
        from archcheck.cli.contract_file import contract_of
        from archcheck.facts.records import PARANOID
        from archcheck.judging.engine import chosen_entries, exit_code
        from archcheck.judging.jobs import check_many

        options = _options("check", *(("--config", contract) if contract else ()), "--", *subjects)
        with self._turn:
            read = contract_of(options)
            entries = chosen_entries(read, options.subjects)
            reports = tuple(check_many(read, entries, [self._worker], needs=[PARANOID]))
        code = exit_code(reports)
        return Judged(passes=code == 0, exit_code=code, reports=[_report(each) for each in reports])

    def explain(self, topic: str | None = None) -> Page:
        """Show a page of the manual: of a topic, a rule such as `max-params`, or a kind such as `conv`; none: list."""
        from archcheck.cli.commands import explanation

        return Page(text=explanation(_options("explain", "--", *((topic,) if topic else ()))))

    def diff(self, first: str, second: str) -> Differences:
        """Compare two saved JSON reports or snapshots, subject by subject."""
        from archcheck.cli.snapshot import differences
        from archcheck.render.comparison import summary

        compared = differences(_options("diff", "--", first, second))
        return Differences(
            subjects=[
                Difference(
                    subject=each.subject,
                    same=each.same,
                    grew=any(change.grew for change in each.totals),
                    summary=summary(each),
                )
                for each in compared
            ]
        )

    def init(self, target: str, input: Sequence[str] = (), args: Sequence[str] = ()) -> Page:  # noqa: A002
        """Return a first contract that the models of `target` keep today, with headroom. It writes no file."""
        from archcheck.cli.init import drafts_of
        from archcheck.contract.files import OWN_FILE
        from archcheck.judging.first_contract import contract_text

        shapes = [word for shape in input for word in ("--input", shape)]
        options = _options("init", *shapes, *(("--args", *args) if args else ()), "--", target)
        with self._turn:
            drafts = list(drafts_of(self._worker, options))
        if not drafts:
            raise ArchcheckError(f"no model of {target} could be measured; `report` says why")
        return Page(text=contract_text(drafts, place=f"Save it as {OWN_FILE}."))


def _options(*words: str) -> Namespace:
    from archcheck.cli.options import parse

    return parse(words)


def _report(report: Report, *, with_layers: bool = False) -> ToolReport:
    facts = report.facts
    return ToolReport(
        subject=report.subject,
        error=report.error.message if report.error else None,
        parameters=facts.params.total if facts else None,
        macs=facts.cost.macs if facts else None,
        peak_activation_bytes=facts.cost.peak_activation_bytes if facts else None,
        inputs=[shape_text(each.shape) for each in facts.shape.inputs] if facts else [],
        outputs=[shape_text(each.shape) for each in facts.shape.outputs] if facts else [],
        layers=list(_layers(facts)) if facts and with_layers else [],
        outcomes=[_outcome(report, each) for each in report.outcomes],
    )


def _layers(facts: Facts) -> Iterable[ToolLayer]:
    for each in facts.layers:
        yield ToolLayer(
            path=each.path,
            type=each.type,
            parameters=each.params,
            outputs=list(map(shape_text, each.output_shapes)),
            macs=each.macs,
            file=each.where.file if each.where else None,
            line=each.where.line if each.where else None,
        )


def _outcome(report: Report, outcome: Outcome) -> ToolOutcome:
    found: Sequence[Finding | None] = outcome.findings or ((None,) if outcome.fails else ())
    return ToolOutcome(
        rule=outcome.instance,
        verdict=outcome.verdict.value,
        summary=outcome.summary,
        because=outcome.because,
        findings=[_finding(report, outcome, each) for each in found],
    )


def _finding(report: Report, outcome: Outcome, finding: Finding | None) -> ToolFinding:
    from archcheck.render.wording import fix_of, place_of

    place = place_of(report, outcome, finding)
    return ToolFinding(
        message=finding.message if finding else outcome.summary,
        fix=fix_of(outcome, finding),
        layer=finding.layer if finding else None,
        file=place.file if place else None,
        line=place.line if place else None,
    )
