"""A page as data: what the template shows of each report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archcheck.facts.facts import Facts
from archcheck.foundation.words import amount
from archcheck.render import tensor_file, tool_comparison, totals
from archcheck.render.html.drawing import Drawing, draw
from archcheck.render.html.evidence import Evidence, evidence_of
from archcheck.render.html.plan import PageBudget, plan
from archcheck.render.layer_table import Row, table
from archcheck.render.options import Options
from archcheck.render.outcome_lines import detail_lines
from archcheck.render.totals import Line
from archcheck.render.wording import points_text, tally, unmeasured
from archcheck.rules.findings import Outcome, Report, Verdict
from archcheck.rules.queries.figures import figure_text, find_figure

FIGURES = {
    "params.total": "parameters",
    "cost.macs": "multiply-accumulates",
    "cost.fvcore_flops": "FLOPs as published",
    "cost.activations": "activations",
    "cost.peak_activation_bytes": "bytes of activations at the peak",
    "params.bytes": "bytes of parameters and buffers",
}
"""Path of a fact -> the caption of its figure."""
_WORST = (Verdict.ERROR, Verdict.BROKEN, Verdict.VACUOUS, Verdict.WAIVED, Verdict.KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number at the top of the page: its `fact`, its value as in JSON, and its text."""

    fact: str
    value: int
    text: str
    noun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An outcome with its labelled lines and its points."""

    outcome: Outcome
    lines: tuple[tuple[str, str], ...]
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """A row of the layer table, and the shares that its bars show, from 0 to 1."""

    row: Row
    params: float
    macs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The facts of one subject: the main figures, labelled lines, layers, and drawings."""

    figures: tuple[Figure, ...]
    header: tuple[totals.Line, ...]
    lines: tuple[totals.Line, ...]
    layers: tuple[LayerRow, ...]
    cut: bool
    differences: tuple[tool_comparison.Table, ...]
    drawing: Drawing | None
    ops: int
    differing: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The part of the page about one subject; `id` begins the names of all links into it."""

    id: str
    subject: str
    verdict: str
    tally: str
    error: str
    judged: tuple[Judged, ...]
    measured: Measured | None
    stored: tuple[totals.Line, ...]
    tensors: tuple[tuple[str, ...], ...]
    evidence: Evidence | None
    curves: bool

    @property
    def fails(self) -> bool:
        """Whether the subject has an error or a rule that is not kept."""
        return bool(self.error) or any(each.outcome.fails for each in self.judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole page; `verdict` is that of the run."""

    title: str
    verdict: str
    tally: str
    sections: tuple[Section, ...]


def page_of(reports: Sequence[Report], options: Options) -> Page:
    """Return the content of the page. All drawings share one budget, which limits the size of the page."""
    budget = PageBudget()
    return Page(
        title=reports[0].subject if len(reports) == 1 else amount(len(reports), "subjects"),
        verdict=verdict_of(reports),
        tally=tally(reports),
        sections=tuple(_section(report, options, budget, f"s{number}") for number, report in enumerate(reports, 1)),
    )


def verdict_of(reports: Sequence[Report]) -> str:
    """Return the worst verdict of the reports, or `measured` if no rule judged anything."""
    found = {outcome.verdict for report in reports for outcome in report.outcomes}
    found |= {Verdict.ERROR for report in reports if report.error}
    return next((verdict.value for verdict in _WORST if verdict in found), "measured")


def _section(report: Report, options: Options, budget: PageBudget, name: str) -> Section:
    evidence = evidence_of(report)
    curves = evidence is not None and evidence.drawable and budget.curves > 0
    budget.curves -= curves
    return Section(
        id=name,
        subject=report.subject,
        verdict=verdict_of([report]),
        tally=tally([report]) if report.outcomes else "",
        error=unmeasured(report),
        judged=tuple(
            Judged(outcome=outcome, lines=tuple(detail_lines(report, outcome)), points=points_text([outcome]))
            for outcome in report.outcomes
        ),
        measured=_measured(report.facts, options, budget) if report.facts else None,
        stored=tuple(tensor_file.lines(report.weights)) if report.weights else (),
        tensors=tuple(tensor_file.rows(report.weights)) if report.weights else (),
        evidence=evidence,
        curves=curves,
    )


def _measured(facts: Facts, options: Options, budget: PageBudget) -> Measured:
    planned = plan(facts, budget)
    layers, cut = _fitting(facts, options.depth, budget)
    return Measured(
        figures=tuple(_figure(facts, fact, noun) for fact, noun in FIGURES.items()),
        header=(Line(label="target", text=facts.subject.target), *totals.header(facts)),
        lines=tuple(totals.lines(facts)),
        layers=layers,
        cut=cut,
        differences=tuple(tool_comparison.tables(facts)),
        drawing=draw(facts, planned) if planned else None,
        ops=len(facts.ops),
        differing=len(facts.train_ops) if facts.train_length else None,
    )


def _figure(facts: Facts, fact: str, noun: str) -> Figure:
    return Figure(fact=fact, value=int(find_figure(fact).of(facts)[0]), text=figure_text(fact, facts), noun=noun)


def _fitting(facts: Facts, depth: int, budget: PageBudget) -> tuple[tuple[LayerRow, ...], bool]:
    """Return as many levels of layers as the budget allows, at least the model itself, and whether any are left out."""
    depth = min(depth, max((layer.path.count(".") + 1 for layer in facts.layers), default=0))
    for shown in range(depth, 0, -1):
        layers = tuple(_layers(facts, shown))
        if len(layers) <= budget.rows:
            budget.rows -= len(layers)
            return layers, shown < depth
    return tuple(_layers(facts, 0)), depth > 0


def _layers(facts: Facts, depth: int) -> Iterator[LayerRow]:
    for row in table(facts, depth):
        params = 0.0 if row.hidden else _share(row.params, facts.params.total)
        yield LayerRow(row=row, params=params, macs=_share(row.macs, facts.cost.macs))


def _share(part: int, whole: int) -> float:
    """Return the share of `part` in `whole` for a bar. It is between 0 and 1 even for a damaged report."""
    return min(1.0, max(0.0, part / whole)) if whole else 0.0
