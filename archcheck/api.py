"""What Python code may call: `measure`, `check` and `render`, which accept what a contract accepts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.contract import Contract, Stated, SubjectEntry, known_rules, load
from archcheck.contract.document import show_path
from archcheck.contract.rule_entries import rules_in_python
from archcheck.facts.facts import Facts
from archcheck.facts.operator_costs import Stated as StatedCost
from archcheck.foundation import display
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.notebook_cells import cell_name, cells_run, running_cell
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import listed, quote
from archcheck.judging.engine import check as check_rules
from archcheck.judging.engine import measure, stated_in_python
from archcheck.judging.in_process import check_by_contract
from archcheck.render import render as render_reports
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Report

if TYPE_CHECKING:
    import torch

Rules = Mapping[str, Any] | Iterable[Rule | type[Rule] | str | Mapping[str, Any]]
"""Rules as Python code states them: `{"max-params": "20k"}`, or `[rules.MaxParams(limit=20_000)]`."""

_CHOICES = {"color", "depth", "outcomes_only", "width"}

__all__ = ["check", "measure", "render"]


def check(
    model: torch.nn.Module,
    *,
    example: Any = None,
    rules: Rules | None = None,
    contract: str | Path | None = None,
    subject: str | None = None,
    name: str | None = None,
    costs: Mapping[str, StatedCost] | None = None,
    call: str | None = None,
    training_example: Any = None,
) -> Report:
    """Measure `model` in this process, judge it, and return the report. `report.verify()` raises if a rule is broken.

    `rules` are rules, or a table as in a contract: `{"max-params": "20k", "requires": ["dropout"]}`. `contract` is a
    contract file, whose rules for `subject` the model has to keep; without `subject` it must have one alone. `example`
    is a tensor, a tuple of positional inputs or a mapping of keyword inputs; by default it is that of the subject, or
    inferred. `costs` are multiply-accumulates of your own operators. `call` names the method to measure instead of
    `forward`: `"act"`. `training_example` is the input in training mode, if it is another one; both are by default
    those of the subject.

    Raises:
        ContractError: the rules or the contract have mistakes, all of them at once.
        SubjectError: the model could not be measured.
    """
    if (rules is None) == (contract is None):
        raise ArchcheckError('`check` needs either rules or a contract: rules={"max-params": "20k"}')
    how: dict[str, Any] = {"name": name, "costs": costs, "call": call, "training_example": training_example}
    if contract is None:
        if subject is not None:
            raise ArchcheckError(f"`subject` is one of a contract; name the contract of {quote(subject)}, too")
        return check_rules(model, example=example, rules=_stated(rules or ()), **how)
    read = load(Path(contract))
    entry = _entry(read, subject)
    return check_by_contract(model, read, entry, example=example, **how)


def _entry(contract: Contract, subject: str | None) -> SubjectEntry:
    if subject is not None:
        return contract.subject(subject)
    if len(contract.subjects) > 1:
        names = listed(entry.name for entry in contract.subjects)
        raise ArchcheckError(f"{contract.file} has several subjects; give `subject`, one of {names}")
    return contract.subjects[0]


def _stated(rules: Rules) -> tuple[Stated, ...]:
    """Return rules that Python code states. Those of a table stand at the line that calls `check`."""
    if isinstance(rules, Mapping):
        rules = [rules]
    if isinstance(rules, str | Rule) or not isinstance(rules, Iterable):
        raise ArchcheckError(
            f'`rules` must be a table such as {{"max-params": "20k"}} or a list of rules, found {rules!r}'
        )
    known, _ = known_rules(None)
    found: list[Stated] = []
    for rule in rules:
        found += [stated_in_python(rule)] if isinstance(rule, Rule) else rules_in_python(_table(rule), _caller(), known)
    return tuple(found)


def _table(rule: Any) -> Mapping[str, Any]:
    if isinstance(rule, Mapping):
        return rule
    if isinstance(rule, type) and issubclass(rule, Rule):
        return {rule_name(rule): True}
    if isinstance(rule, str):
        return {rule: True}
    raise ArchcheckError(f'a rule is `rules.MaxParams(limit=20_000)` or {{"max-params": "20k"}}, found {rule!r}')


def _caller() -> Where:
    """Return the line outside this package that is being run; in a notebook, the cell and its line."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "archcheck":
        frame = frame.f_back
    file = frame.f_code.co_filename
    cell = cells_run().get(file)
    if cell is not None:
        return Where(file=cell_name(cell), line=frame.f_lineno)
    if frame.f_globals.get("__name__", "").partition(".")[0] == "IPython":  # a magic, which is the first line of a cell
        number = running_cell()
        return Where(file=file if number is None else cell_name(number), line=1)
    return Where(file=show_path(Path(file)), line=frame.f_lineno)


def render(reports: Report | Facts | Sequence[Report], format: str = "text", **options: Any) -> str:  # noqa: A002
    """Return a report, several, or the facts of a model in a format of `archcheck report --format`.

    `options` are `color`, `width` in columns and `depth` of the layer table.

    Raises:
        ArchcheckError: there is no such format or option.
    """
    if isinstance(reports, Facts | Report):
        chosen = _reports(reports)
    else:
        chosen = tuple(reports) if isinstance(reports, Iterable) else ()
    if not all(isinstance(each, Report) for each in chosen) or not chosen:
        raise ArchcheckError(f"`render` takes what `check` or `measure` returned, or several of it, found {reports!r}")
    if unknown := options.keys() - _CHOICES:
        raise ArchcheckError(f"{quote(min(unknown))} is not an option of `render`; it has {listed(sorted(_CHOICES))}")
    return render_reports(chosen, format, **options)


def _reports(value: Facts | Report) -> tuple[Report, ...]:
    return (value if isinstance(value, Report) else Report(subject=value.subject.name, facts=value),)


def _as_text(value: Facts | Report) -> str:
    return render_reports(_reports(value))


def _as_html(value: Facts | Report) -> str:
    from archcheck.render.notebook import as_html

    return as_html(_reports(value))


def _as_rich(value: Facts | Report) -> Any:
    from archcheck.render.notebook import as_rich

    return as_rich(_reports(value))


display.register(text=_as_text, html=_as_html, rich=_as_rich)
