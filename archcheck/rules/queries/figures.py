"""Figures that texts state about a subject, by the dotted path of the fact, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.words import did_you_mean, quote, shape_text
from archcheck.rules.queries.dropouts import dropouts
from archcheck.rules.queries.training_runs import accuracies, recorded

Values = tuple[Fraction, ...]
"""The values of a fact. Most facts have one; others, such as rates of dropout, may have several."""

RECORD = "training.record."
"""The prefix of a path into the training record: `training.record.recipe.settings.batch_size`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A fact that is a number: its unit in `archcheck.foundation.quantities`, and the function that reads it."""

    unit: str
    of: Callable[[Facts], Values]


def _field(unit: str, path: str) -> Figure:
    group, _, name = path.partition(".")

    def value(facts: Facts) -> Values:
        found = getattr(getattr(facts, group), name)
        if found is None:
            raise NotMeasured(f"`{path}` takes real numbers, and there are none")
        return (Fraction(found),)

    return Figure(unit=unit, of=value)


_FIELDS = {
    "parameters": ("params.total", "params.trainable", "params.frozen", "params.hidden_total", "params.effective"),
    "elements": ("params.buffers", "cost.fvcore_flops", "cost.activations"),
    "bytes": ("params.bytes", "cost.peak_activation_bytes"),
    "macs": ("cost.macs",),
}


def _training_macs(facts: Facts) -> Values:
    if facts.cost.training_macs is None:
        raise NotMeasured("the cost of a training step was not measured")
    return (Fraction(facts.cost.training_macs),)


def _rates(facts: Facts) -> Values:
    return tuple(sorted({Fraction(str(each.rate)) for each in dropouts(facts) if each.acts}))


def _mean(facts: Facts) -> Values:
    found = accuracies(facts)
    return (sum(found, Fraction()) / len(found),)


def _seeds(facts: Facts) -> Values:
    return (Fraction(len(accuracies(facts))),)


def _epochs(facts: Facts) -> Values:
    accuracies(facts)  # so that the record is of this model
    return tuple(sorted({Fraction(len(run["epochs"])) for run in recorded(facts)["runs"]}))


def _evaluated(name: str) -> Callable[[Facts], Values]:
    def value(facts: Facts) -> Values:
        accuracies(facts)
        found = getattr(facts.training, name)
        if found is None:
            raise NotMeasured((facts.training and facts.training.checkpoint_problem) or "no checkpoint was evaluated")
        return (Fraction(found),)

    return value


FIGURES: Mapping[str, Figure] = MappingProxyType({
    **{path: _field(unit, path) for unit, paths in _FIELDS.items() for path in paths},
    "cost.training_macs": Figure(unit="macs", of=_training_macs),
    "dropout": Figure(unit="share", of=_rates),
    "training.accuracy": Figure(unit="share", of=_mean),
    "training.seeds": Figure(unit="elements", of=_seeds),
    "training.epochs": Figure(unit="elements", of=_epochs),
    "training.correct": Figure(unit="elements", of=_evaluated("correct")),
    "training.total": Figure(unit="elements", of=_evaluated("total")),
})  # fmt: skip
"""Every named figure. The accuracy is the mean over the recorded seeds."""


def find_figure(path: str) -> Figure:
    """Return the figure at a path. Raises `ValueError` with a suggestion when there is none."""
    if path in FIGURES:
        return FIGURES[path]
    if path.startswith(RECORD) and all(path.split(".")):
        return Figure(unit="share", of=lambda facts: (_in_record(facts, path),))
    known = f"figures are {', '.join(FIGURES)} and {RECORD}…"
    raise ValueError(f"{quote(path)} is not a figure{did_you_mean(path, FIGURES, known)}")


def _in_record(facts: Facts, path: str) -> Fraction:
    value: Any = recorded(facts)
    for step in path.removeprefix(RECORD).split("."):
        try:
            value = value[int(step)] if isinstance(value, list | tuple) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise NotMeasured(f"the record has no {quote(path.removeprefix(RECORD))}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotMeasured(f"{quote(path)} is no number")
    return Fraction(str(value))


def figure_text(path: str, facts: Facts) -> str:
    """Return a figure as texts show it: `13,086`, `99.53 %`, of several values all.

    Raises `ValueError` for a path that names none, and `NotMeasured` for one that is not known of this subject.
    """
    values = find_figure(path).of(facts)
    return ", ".join(value_text(path, value) for value in values) or "none"


def value_text(path: str, value: Fraction, *, exact: bool = False) -> str:
    """Write one value of a figure. An accuracy is a percentage with two digits; with `exact`, with up to six."""
    if path == "training.accuracy":
        return f"{float(100 * value):.6g} %" if exact else f"{float(100 * value):.2f} %"
    return f"{int(value):,}" if value.denominator == 1 else f"{float(value):.12g}"


def table(facts: Facts) -> tuple[str, ...]:
    """Return the lines of a Markdown table, without the accuracy if nothing proves it."""
    inputs = ", ".join(shape_text(tensor.shape) for tensor in facts.shape.inputs)
    rows = {
        "parameters": figure_text("params.total", facts),
        "multiply-accumulates": figure_text("cost.macs", facts) + (f" on {inputs}" if inputs else ""),
        "activations": f"{figure_text('cost.peak_activation_bytes', facts)} bytes at the peak",
    }
    if (accuracy := accuracy_text(facts)) is not None:
        rows["test accuracy"] = accuracy
    return ("| measure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()))


def accuracy_text(facts: Facts) -> str | None:
    """Return the accuracy with its number of seeds; `None` if nothing proves it."""
    try:
        seeds = int(_seeds(facts)[0])
        mean = figure_text("training.accuracy", facts)
    except NotMeasured:
        return None
    return f"{mean} (n = 1 seed)" if seeds == 1 else f"{mean} (mean, n = {seeds} seeds)"


def needs_training(path: str) -> bool:
    """Whether the record of a training run has to be read for a figure."""
    return path.startswith("training.")
