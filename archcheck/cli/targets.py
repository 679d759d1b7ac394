"""`archcheck report TARGET…`: find and measure the subject of a contract, or the models of a file or module."""

from __future__ import annotations

import os
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from archcheck.cli.contract_file import contract_of
from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import note
from archcheck.cli.several_targets import single_targets, told_apart
from archcheck.cli.worker_options import worker_of
from archcheck.facts.calls import CALLS
from archcheck.facts.records import CROSS_CHECK, PARANOID, RECORD, TRAINING, TRIAL
from archcheck.foundation.errors import ArchcheckError, ContractError, SubjectError
from archcheck.foundation.json_codec import encode
from archcheck.foundation.suffixes import PICKLED, TENSORS, ends, is_file
from archcheck.foundation.words import listed, quote
from archcheck.judging.engine import check_subject, find_main_model, find_models, measure_target, measure_weights
from archcheck.judging.target_files import place, subjects_in
from archcheck.rules.findings import MeasurementFailure, Report
from archcheck.workers.worker_process import Worker

if TYPE_CHECKING:
    from archcheck.contract import Contract, SubjectEntry

_NOT_BUILT = ("construct", "input", "forward", "import", "no-model")
"""Why a block is not measured that needs arguments, other inputs, or a package."""
_SHOWN = 6
"""How many of them are named."""


class Reports(NamedTuple):
    """The reports of a target, and whether its main model failed: then its report is the first."""

    reports: tuple[Report, ...]
    main_failed: bool


def reports_of(options: Namespace) -> Reports:
    """Return a report for each model of the targets, which one worker measures in processes of their own.

    Raises `ArchcheckError` when a target names nothing.
    """
    with worker_of(options) as worker:
        return reports_in(worker, options)


def reports_in(worker: Worker, options: Namespace) -> Reports:
    """Return what `reports_of` does, measured in a worker that goes on."""
    targets = [(each, target) for target in options.targets for each in single_targets(target)]
    if len(targets) == 1:
        return _reports_of_one(worker, Namespace(**vars(options), target=targets[0][0]))
    found: list[tuple[str, Report]] = []
    failed = False
    for each, named in targets:
        try:
            reports, main_failed = _reports_of_one(worker, Namespace(**vars(options), target=each))
        except SubjectError as error:
            if error.kind == "no-model" and each != named:  # a folder holds other files, too
                continue
            if error.kind == "not-found" and each == named:
                raise
            reports, main_failed = (_failed(each, error),), True
        found += [(each, report) for report in reports]
        failed = failed or main_failed
    if not found:
        raise ArchcheckError(f"no file in {listed(options.targets)} defines a model; name one, as in `model.py:Net`")
    return Reports(told_apart(found), failed)


def _reports_of_one(worker: Worker, options: Namespace) -> Reports:
    """Return a report for each model of `options.target`."""
    if _is_name(options.target):
        reports = (_check(worker, *_named(options), options),)
    elif ends(options.target, TENSORS) or (ends(options.target, PICKLED) and not options.unsafe):
        reports = (_list_tensors(worker, options),)
    else:
        return _with_main(worker, options, list(_report_models(worker, options)))
    return Reports(reports, reports[0].error is not None)


def _failed(subject: str, error: SubjectError) -> Report:
    return Report(subject=subject, error=MeasurementFailure(kind=error.kind, message=error.message))


def _with_main(worker: Worker, options: Namespace, measured: list[tuple[str, Report]]) -> Reports:
    """Return the reports in their order, or with that of the main model first if it could not be measured.

    What is measured beside it is a helper, such as a loss: the file was not measured. If the main model was measured,
    a note of its report names the others that could not be.
    """
    measured = _told_apart(measured)
    failed = [report for _, report in measured if report.error]
    if failed and len(failed) < len(measured):
        main = find_main_model(worker, options.target)
        failed = [report for target, report in measured if report.error and target == main]
        if not failed:
            measured = _without_helpers(measured, main)
    others = [report for _, report in measured if not any(report is each for each in failed)]
    return Reports((*failed, *others), bool(failed))


def _told_apart(measured: list[tuple[str, Report]]) -> list[tuple[str, Report]]:
    """Return the reports with the names of the targets where models are called the same, such as `Sequential`."""
    times = Counter(report.subject for _, report in measured if report.facts and not report.outcomes)
    return [
        (target, _renamed(report, target.rpartition(":")[2]) if times[report.subject] > 1 else report)
        for target, report in measured
    ]


def _renamed(report: Report, name: str) -> Report:
    if report.facts is None or report.outcomes:
        return report
    facts = replace(report.facts, subject=replace(report.facts.subject, name=name))
    return replace(report, subject=name, facts=facts)


def _without_helpers(measured: list[tuple[str, Report]], main: str) -> list[tuple[str, Report]]:
    """Return the reports without those of blocks that could not be built or run, which the main one then names."""
    left = {target: report.error.message for target, report in measured if report.error and _is_helper(report)}
    if not left:
        return measured
    text = f"not measured beside it: {_listed(left)}"
    kept = [(target, report) for target, report in measured if target not in left]
    return [(target, _noting(report, text) if target == main else report) for target, report in kept]


def _listed(left: dict[str, str]) -> str:
    """Return the names of blocks that were not measured, or of a single one with the reason."""
    names = [target.rpartition(":")[2] for target in left]
    if len(left) == 1:
        return f"{quote(names[0])}: {next(iter(left.values()))}"
    more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
    return f"{listed(names[:_SHOWN])}{more}; `archcheck report {next(iter(left))}` says why"


def _is_helper(report: Report) -> bool:
    return report.error is not None and report.error.kind in _NOT_BUILT and not report.outcomes


def _list_tensors(worker: Worker, options: Namespace) -> Report:
    """Return the report of a file of tensors."""
    why = (
        f"is of no use for {options.target}, which holds tensors and no structure; name the architecture, as in "
        f"`archcheck report model.py:Net --weights {options.target}`"
    )
    refuse_given(options, ("input", "call", "args", "weights", "cross_check", "tool", "meta"), why)
    return Report(subject=Path(options.target).name, weights=measure_weights(worker, options.target))


def _is_name(target: str) -> bool:
    """Whether the target can only be the name of a subject."""
    path = Path(target)
    return ":" not in target and not path.exists() and path.name == target and not is_file(target)


def _named(options: Namespace) -> tuple[Contract, SubjectEntry]:
    try:
        contract = contract_of(options)
        return contract, contract.subject(options.target)
    except ContractError:
        raise
    except ArchcheckError as error:
        raise ArchcheckError(f"there is no file {quote(options.target)}, and {error}") from None


def _report_models(worker: Worker, options: Namespace) -> Iterator[tuple[str, Report]]:
    """Yield each model of the target with its report."""
    contract = _contract_covering(options)
    for target in _models(worker, options.target):
        entries = _entries(contract, target)
        if contract and entries:
            yield from ((target, _check(worker, contract, entry, options)) for entry in entries)
        else:
            yield target, _measure(worker, target, options)


def _contract_covering(options: Namespace) -> Contract | None:
    """Return the contract nearest to the target, or `None` with a note if it has mistakes."""
    from archcheck.contract import discover, load

    if options.config:
        return contract_of(options)
    file, _ = place(Path.cwd(), options.target)
    found = discover(file.parent if file else None)
    try:
        return load(found) if found else None
    except ContractError as error:
        name = error.problems[0].file
        note(f"{name} has mistakes, so it judges nothing here; `archcheck check --config {name}` lists them")
        return None


def _models(worker: Worker, target: str) -> tuple[str, ...]:
    try:
        return find_models(worker, target)
    except SubjectError as error:
        if target in error.message:
            raise
        raise SubjectError(error.kind, f"{target}: {error.message}") from None


def _entries(contract: Contract | None, target: str) -> list[SubjectEntry]:
    """Return the subjects of `contract` that are the model at `target`."""
    if contract is None:
        return []
    file, name = place(Path.cwd(), target)
    return [entry for entry, called in subjects_in(contract, file) if called in (name, "")]


def _check(worker: Worker, contract: Contract, entry: SubjectEntry, options: Namespace) -> Report:
    """Judge a subject, with the input, arguments and time limits of the command line instead of its own.

    `report` evaluates no checkpoint and runs no trainer. Rules that need these are left to `check`; only the training
    record is read.
    """
    left = [stated.instance for stated in entry.rules if {TRAINING, TRIAL} & {*stated.rule.needs}]
    changes: dict[str, Any] = {
        "args": {**entry.args, **dict(options.args or ())},
        "rules": tuple(stated for stated in entry.rules if stated.instance not in left),
    }
    if options.input:
        changes["input"] = tuple(options.input)
    if options.call:
        changes["call"] = options.call
    if options.timeout:
        changes["timeout"] = options.timeout
    if options.import_timeout:
        changes["import_timeout"] = options.import_timeout
    if options.meta:
        changes["meta"] = True
    if options.weights:
        changes["weights"] = os.path.relpath(options.weights, contract.root)
    if options.unsafe:
        changes["unsafe"] = True
    needs = [*_needs(options), *([RECORD] if entry.training and entry.training.record else [])]
    report = check_subject(worker, contract, replace(entry, **changes), needs=needs)
    return _noting(report, f"not judged here but by `archcheck check`: {', '.join(left)}") if left else report


def _needs(options: Namespace) -> list[str]:
    asked = {CROSS_CHECK: options.cross_check, PARANOID: options.paranoid, CALLS: options.tool}
    return [need for need, wanted in asked.items() if wanted]


def _noting(report: Report, text: str) -> Report:
    return replace(report, facts=report.facts.noting(text)) if report.facts else report


def _measure(worker: Worker, target: str, options: Namespace) -> Report:
    """Measure a model that no contract covers."""
    request: dict[str, Any] = {
        "args": dict(options.args or ()),
        "meta": options.meta,
        "weights": options.weights,
        "unsafe": options.unsafe,
        "needs": _needs(options),
        "careful": True,
    }
    if options.input:
        request["input"] = encode(options.input)
    if options.call:
        request["call"] = options.call
    try:
        facts = measure_target(worker, target, **request)
    except SubjectError as error:
        return _failed(target.rpartition(":")[2] or target, error)
    return Report(subject=facts.subject.name, facts=facts)
