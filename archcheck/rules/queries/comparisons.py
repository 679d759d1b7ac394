"""Tables that compare subjects: a row for each, with its size, its cost and the accuracy of its training record.

The interval is the two-sided 95 % interval of the mean over the recorded seeds, by Student's t: the mean, plus and
minus `t(0.975, n - 1) s / sqrt(n)`, where s is the standard deviation of the n seeds, at least
`LEAST_SPREAD` of `confidence_intervals`. It says how sure the mean is, not how far a single seed may lie from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.markers import Region, as_block
from archcheck.foundation.statistics.confidence_intervals import Sample, mean_bounds
from archcheck.foundation.text_files import Text
from archcheck.rules.queries.figures import figure_text
from archcheck.rules.queries.training_runs import accuracies, recorded, result_of, runs_of

CONFIDENCE = 0.95
_HEAD = (
    "| subject | parameters | multiply-accumulates | test accuracy | standard deviation | 95 % interval of the mean "
    "| seeds | epochs |",
    "|---|---:|---:|---:|---:|---:|---:|---:|",
)
_UNKNOWN = "—"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanAccuracy:
    """The accuracy over all recorded seeds, in percent. One seed has neither a `deviation` nor an interval."""

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    seeds: int


def mean_accuracy(facts: Facts) -> MeanAccuracy:
    """Return the accuracy of a subject with its interval, which ends where accuracies end.

    Raises `NotMeasured` when no training record proves one.
    """
    seeds = len(accuracies(facts))  # which says why nothing is proven
    results = [result for run in runs_of(recorded(facts)) if (result := result_of(run)) is not None]
    sample = Sample(tuple(correct for correct, _ in results), results[0][1])
    mean = 100 * float(sample.mean)
    if seeds == 1:
        return MeanAccuracy(mean=mean, deviation=None, low=None, high=None, seeds=1)
    # Each of the two one-sided bounds takes half of the error of a two-sided interval.
    low, high = (100 * bound for bound in mean_bounds(sample, (1 + CONFIDENCE) / 2))
    return MeanAccuracy(mean=mean, deviation=100 * sample.deviation, low=low, high=high, seeds=seeds)


def comparison(text: Text, region: Region, measured: Iterable[Facts]) -> str:
    """Return the table that belongs between two markers, the smallest subject first."""
    ordered = sorted(measured, key=lambda facts: facts.params.total)
    return as_block([*_HEAD, *map(comparison_row, ordered)], text, region)


def comparison_row(facts: Facts) -> str:
    """Return the row of a subject; what no training record proves is a dash."""
    return f"| {' | '.join((_label(facts.subject.name), *_cells(facts)))} |"


def row_of(name: str, block: str) -> str | None:
    """Return the row of a subject in a table that stands in a text, or `None`."""
    begin = re.compile(rf"[ \t>]*(\|[ \t]*{re.escape(_label(name))}[ \t]*\|.*)")
    return next((found[1].rstrip() for line in block.splitlines() if (found := begin.fullmatch(line))), None)


def _label(name: str) -> str:
    """Return a name as a cell of Markdown: as code, or escaped where it holds what would end the code or the cell."""
    if re.fullmatch(r"[^`|<>\\\s]+(?: [^`|<>\\\s]+)*", name):
        return f"`{name}`"
    return re.sub(r"([\\`|*_\[\]])", r"\\\1", escape(" ".join(name.split())))


def _cells(facts: Facts) -> Iterator[str]:
    yield figure_text("params.total", facts)
    yield figure_text("cost.macs", facts)
    try:
        accuracy, epochs = mean_accuracy(facts), figure_text("training.epochs", facts)
    except NotMeasured:
        yield from [_UNKNOWN] * 5
        return
    yield f"{accuracy.mean:.3f} %"
    yield _UNKNOWN if accuracy.deviation is None else f"{accuracy.deviation:.3f}"
    yield _UNKNOWN if accuracy.low is None else f"{accuracy.low:.3f} to {accuracy.high:.3f} %"
    yield f"{accuracy.seeds}"
    yield epochs
