"""The report for people, in a terminal. Only what needs rich imports this module."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from archcheck.facts.facts import Facts
from archcheck.facts.weight_files import Weights
from archcheck.render import tensor_file, tool_comparison, totals
from archcheck.render.layer_table import Row, table
from archcheck.render.options import Options
from archcheck.render.outcome_lines import detail_lines
from archcheck.render.unwrapped_text import LABEL, UNBOUNDED, headline, widest_instance
from archcheck.render.wording import one_line, tally, unmeasured
from archcheck.rules.findings import Outcome, Report, Verdict

STYLES = {
    Verdict.KEPT: "green",
    Verdict.BROKEN: "bold red",
    Verdict.WAIVED: "yellow",
    Verdict.VACUOUS: "bold magenta",
    Verdict.ERROR: "bold red",
}
ALARM = "yellow"
QUIET = "dim"
TITLES = ("layer", "type", "output", "params", "macs")
WORDS = 3
"""How many columns of the layer table hold words; figures follow."""
GAP = 2
LEAST = 8
"""Columns that words get even where there is no room."""


def render_text(reports: Sequence[Report], options: Options) -> str:
    """Return the facts and outcomes of every report, then a line that counts the verdicts."""
    out = io.StringIO()
    console = _console(out, options)
    for position, report in enumerate(reports):
        if position and not options.outcomes_only:
            console.print()
        for part in _report(report, options):
            console.print(part)
    if any(report.outcomes or report.error for report in reports) or options.outcomes_only:
        console.print()
        console.print(_text(tally(reports), "bold"))
    # Tables fill their last column with spaces, which only disturb who copies the text.
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


def _console(out: io.StringIO, options: Options) -> Console:
    """Return a console that ignores the environment and the terminal."""
    return Console(
        file=out,
        width=options.width or UNBOUNDED,
        height=100,
        force_terminal=options.color,
        color_system="standard" if options.color else None,
        no_color=not options.color,
        force_jupyter=False,
        force_interactive=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _text(text: str, style: str = "") -> Text:
    return Text(one_line(text), style)


def _report(report: Report, options: Options) -> Iterator[RenderableType]:
    if report.facts and not options.outcomes_only:
        yield from _facts(report.facts, options)
        if report.outcomes:
            yield ""
    if report.weights:
        yield from _tensors(report.weights)
    if report.error:
        yield _columns(Verdict.ERROR, _text(f"{report.subject}: {unmeasured(report)}"))
    if report.outcomes:
        yield from _outcomes(report)


def _facts(facts: Facts, options: Options) -> Iterator[RenderableType]:
    yield _text(facts.subject.name, "bold").append("  ").append_text(_text(facts.subject.target, QUIET))
    yield _lines(totals.header(facts))
    yield ""
    yield _layers([*table(facts, options.depth)], options.width or UNBOUNDED)
    yield ""
    yield _lines(totals.lines(facts))
    for found in tool_comparison.tables(facts):
        rows = [(row.cells, ALARM if row.alarming else "") for row in found.rows]
        yield ""
        yield _table_of(found.titles, ("archcheck", found.tool), rows)


def _tensors(weights: Weights) -> Iterator[RenderableType]:
    yield _text(weights.file, "bold")
    yield ""
    yield _table_of(tensor_file.TITLES, tensor_file.FIGURES, [(row, "") for row in tensor_file.rows(weights)])
    yield ""
    yield _lines(tensor_file.lines(weights))


def _lines(lines: Iterable[totals.Line]) -> RenderableType:
    rows = [(line.label, _text(line.text, ALARM if line.alarming else "")) for line in lines]
    return _labelled(rows, indent=2)


def _labelled(rows: Iterable[tuple[str, Text]], *, indent: int, width: int = 0) -> RenderableType:
    """Return lines with their labels before them. A label takes at least `width` columns."""
    grid = _grid(1, width)
    for label, text in rows:
        grid.add_row(Text(label, QUIET), text)
    return Padding(grid, (0, 0, 0, indent), expand=False)


def _grid(columns: int, width: int) -> Table:
    """Return a grid of a label of at least `width` columns, which does not break, and of `columns` that do."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=width)
    for _ in range(columns):
        grid.add_column(overflow="fold")
    return grid


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")


def _layers(layers: Sequence[Row], width: int) -> Table:
    """Return the table of layers. Figures are never cut; words share the remaining width."""
    table = _table()
    lines = [[_text(cell) for cell in _cells(row)] for row in layers]
    natural = [
        max(map(cell_len, (title, *(line[column].plain for line in lines)))) for column, title in enumerate(TITLES)
    ]
    room = width - sum(natural[WORDS:]) - GAP * (len(TITLES) - 1)
    for title, size in zip(TITLES, _shrunk(natural[:WORDS], room), strict=False):
        table.add_column(title, overflow="fold", width=size)
    for title in TITLES[WORDS:]:
        table.add_column(title, justify="right", overflow="fold")
    for row, line in zip(layers, lines, strict=True):
        table.add_row(*line, style=ALARM if row.warning else QUIET if row.quiet else "")
    return table


def _table_of(titles: Iterable[str], figures: Collection[str], rows: Iterable[tuple[Iterable[str], str]]) -> Table:
    """Return a table of rows with their styles. The columns of `figures` are never cut; words are folded."""
    table = _table()
    for title in titles:
        is_figure = title in figures
        table.add_column(title, justify="right" if is_figure else "left", no_wrap=is_figure, overflow="fold")
    for cells, style in rows:
        table.add_row(*map(_text, cells), style=style)
    return table


def _cells(row: Row) -> tuple[str, ...]:
    output = ", ".join(part for part in (row.output, row.warning) if part)
    return "  " * row.level + row.name, row.type, output, row.params_text, row.macs_text


def _shrunk(widths: Sequence[int], room: int) -> list[int]:
    """Return `widths` that fit into `room`. Names shrink last, because a broken name is hard to find."""
    name, kind, output = widths
    kind -= max(0, min(kind - LEAST, name + kind + output - room))
    output -= max(0, min(output - LEAST, name + kind + output - room))
    name -= max(0, min(name - LEAST, name + kind + output - room))
    return [name, kind, output]


def _outcomes(report: Report) -> Iterator[RenderableType]:
    widest = widest_instance(report)
    for outcome in report.outcomes:
        yield _headline(report, outcome, widest)
        if detail := list(detail_lines(report, outcome)):
            yield _labelled([(label, _text(text)) for label, text in detail], indent=LABEL + 2, width=LABEL)


def _headline(report: Report, outcome: Outcome, widest: int) -> Table:
    instance = _text(outcome.instance, "bold")
    instance.pad_right(widest - instance.cell_len)
    return _columns(outcome.verdict, instance, _text(headline(report, outcome)))


def _columns(verdict: Verdict, *cells: Text) -> Table:
    grid = _grid(len(cells), LABEL)
    grid.add_row(Text(verdict.value, STYLES[verdict]), *cells)
    return grid
