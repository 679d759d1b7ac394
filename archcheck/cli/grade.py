"""`archcheck grade`: judge the submissions of a course, and write their grades and pages of feedback.

A report is folded into a grade as soon as it is there, so that memory does not grow with the number of submissions.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.cli.contract_file import contract_of
from archcheck.cli.grade_options import SINGLE, Output
from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import Progress, base, note, published_pages, save, write
from archcheck.cli.worker_options import worker_of, workers_of
from archcheck.contract.document import show_path
from archcheck.contract.subject_patterns import folders_without
from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.file_changes import WatchedFiles
from archcheck.foundation.words import amount, first_of, quote
from archcheck.integrations.classroom50 import fields_of, refuse_parts, render_classroom50
from archcheck.integrations.file_names import file_name
from archcheck.integrations.grades import Grade, grade_of
from archcheck.judging.engine import chosen_entries
from archcheck.judging.jobs import check_many
from archcheck.judging.target_files import place
from archcheck.rules.base import Rule
from archcheck.rules.findings import Report

if TYPE_CHECKING:
    from archcheck.contract import Contract, SubjectEntry
    from archcheck.integrations.feedback import Feedback

_SHOWN = 10
"""Folders that a note names at most."""
_DOUBTFUL = ("crash", "timeout", "environment")
"""Errors that another submission may have caused, which was measured at the same time."""


def grade(options: Namespace) -> int:
    """Write the grades. The exit code is 0 whatever they are; what cannot be read or written raises."""
    if options.output and not options.to:
        raise ArchcheckError("--output needs --to, for who reads the grades; --feedback names its own folder")
    if not options.to and not options.feedback:
        raise ArchcheckError("`archcheck grade` needs --to, for who reads the grades, or --feedback; see `--help`")
    fields = _fields(options)
    feedback = _feedback(options)
    files = [Path(word) for word in options.subjects if Path(word).suffix == ".json" and Path(word).exists()]
    made = _saved(options, files) if files else _judged(options)
    grades: dict[str, Grade] = {}
    for each in made:
        grades[each.subject] = each  # a submission that is measured again replaces what was found first
        if feedback:
            feedback.write(each)
    every = tuple(grades.values())
    if options.to:
        _deliver(every, options, fields)
    if feedback:
        feedback.write_class(every)
    failed = sum(bool(each.reason) for each in every)
    note(f"{amount(len(every), 'submissions')} graded" + (f", {failed:,} could not be measured" if failed else ""))
    return 0


def _fields(options: Namespace) -> dict[str, str]:
    given = dict(options.field or ())
    if options.to == "classroom50":
        return fields_of(given, os.environ)
    if given:
        raise ArchcheckError("--field is for `--to classroom50`; leave it out")
    return {}


def _feedback(options: Namespace) -> Feedback | None:
    """Return the folder of pages. A missing library is an error before anything is measured."""
    if not options.feedback:
        return None
    from archcheck.integrations.feedback import Feedback, demand_libraries

    demand_libraries()
    return Feedback(options.feedback)


def _saved(options: Namespace, files: Sequence[Path]) -> Iterator[Grade]:
    """Return the grades of saved reports. A contract that `--config` names tells the rules of what failed."""
    from archcheck.cli.commands import read_reports

    if others := [word for word in options.subjects if Path(word) not in files]:
        raise ArchcheckError(f"{quote(others[0])} is no JSON report, and {files[0]} is one; name only reports")
    refuse_given(options, ("meta", "unsafe", "sandbox", "timeout", "import_timeout"), f"measures nothing in {files[0]}")
    reports = [report for file in files for report in read_reports(file)]
    names = {report.subject for report in reports}
    if len(names) < len(reports):
        raise ArchcheckError("a subject is there twice in these reports; name each report once")
    _refuse_several(len(reports), options)
    contract = contract_of(options) if options.config else None
    entries = {entry.name: entry for entry in contract.subjects} if contract else {}
    if _needs_points(options) and all(report.points is None for report in reports):
        raise ArchcheckError(
            f"no rule in {files[0]} has points; give the rules of the contract `points`, and check again"
        )
    root = str(contract.root) if contract else ""
    return (grade_of(report, entries.get(report.subject), root) for report in reports)


def _judged(options: Namespace) -> Iterator[Grade]:
    """Return the grades of the subjects of the contract, each as soon as it is judged."""
    contract = contract_of(options)
    entries = chosen_entries(contract, options.subjects)
    _refuse_several(len(entries), options)
    rules = [stated.rule for entry in entries for stated in entry.rules]
    if _needs_points(options) and all(rule.points is None for rule in rules):
        raise ArchcheckError(f"no rule of {contract.file} has points; give rules `points`: `archcheck explain grading`")
    if options.to == "classroom50":
        _refuse_parts_of_points(rules)
    if not options.subjects:
        _tell_folders_without_a_model(contract)
    entries = tuple(replace(entry, meta=entry.meta or options.meta, unsafe=options.unsafe) for entry in entries)
    return _measured(contract, entries, options)


def _tell_folders_without_a_model(contract: Contract) -> None:
    """A student whose file is missing or has another name is no subject, and would be in no table without a word."""
    for model in contract.models.values():
        if missing := folders_without(model, contract.root):
            what = f"{amount(len(missing), 'folders')} without a file for {quote(model)}, and so without a grade"
            note(f"{what}: {first_of(missing, _SHOWN)}")


def _refuse_parts_of_points(rules: Sequence[Rule]) -> None:
    from archcheck.rules.base import rule_name

    for rule in rules:
        worths = [band.points for band in rule.points] if isinstance(rule.points, tuple) else [rule.points or 0]
        for points in worths:
            refuse_parts(points, rule_name(rule))


def _measured(contract: Contract, entries: Sequence[SubjectEntry], options: Namespace) -> Iterator[Grade]:
    """Yield a grade for each subject. What may have failed because of another one is measured again, on its own.

    A worker ends all processes of a subject before it takes the next, so only subjects that are measured at the same
    time can harm one another.
    """
    doubtful = []
    root = str(contract.root)
    needs = [PARANOID] if options.paranoid else []
    integrity = _Integrity(contract, entries)
    with workers_of(options, len(entries)) as workers, Progress(len(entries)) as progress:
        reports = check_many(contract, entries, workers, needs=needs)
        for entry, report in zip(entries, reports, strict=True):
            integrity.demand(entry if len(workers) == 1 else None)
            is_doubtful = len(workers) > 1 and report.error is not None and report.error.kind in _DOUBTFUL
            if is_doubtful:
                doubtful.append(entry)
            else:
                _demand_environment(report)
            yield grade_of(progress.count(report), entry, root)
    if doubtful:
        with worker_of(options) as worker:
            for entry, report in zip(doubtful, check_many(contract, doubtful, [worker], needs=needs), strict=True):
                integrity.demand(entry)
                _demand_environment(report)
                yield grade_of(report, entry, root)


def _demand_environment(report: Report) -> None:
    """Raise `ArchcheckError` for what no submission causes, such as a torch that cannot be imported: nobody gets a
    zero for it.
    """
    if report.error and report.error.kind == "environment":
        raise ArchcheckError(f"{report.subject} has no grade, and not for its code: {report.error.message}")


class _Integrity:
    """The contract and the model of each submission, none of which the code of another submission may change."""

    def __init__(self, contract: Contract, entries: Sequence[SubjectEntry]) -> None:
        self._models = {entry.name: place(contract.root, entry.model)[0] for entry in entries}
        self._files = WatchedFiles({Path(contract.file), *filter(None, self._models.values())})

    def demand(self, measured: SubjectEntry | None) -> None:
        """Raise `ArchcheckError` if a file was changed since the last look; a submission may change its own model.

        `measured` is the only one that ran meanwhile, `None` if there were several.
        """
        own = self._models[measured.name] if measured else None
        for file in self._files.changed():
            if file != own:
                when = f"{measured.name} was" if measured else "submissions were"
                alone = "" if measured else "`--jobs 1`, which tells when, or "
                raise ArchcheckError(
                    f"{show_path(file)} was changed or deleted while {when} measured, so no grade is sure; restore it, "
                    f"and grade again with {alone}`--sandbox`"
                )


def _needs_points(options: Namespace) -> bool:
    return options.to in (*SINGLE, "csv")


def _refuse_several(number: int, options: Namespace) -> None:
    output: Output | None = options.output
    if options.to in SINGLE and number > 1 and not (output and output.is_folder):
        raise ArchcheckError(
            f"{options.to} takes the grade of one submission, found {number:,}; name one, or a folder for a file a "
            "student: `--output grades/`"
        )
    if output and output.is_folder and options.to not in SINGLE:
        raise ArchcheckError(f"{options.to} is one file for all; name a file in {output.path}")


def _deliver(grades: Sequence[Grade], options: Namespace, fields: dict[str, str]) -> None:
    output: Output | None = options.output
    if options.to in SINGLE and output and output.is_folder:
        texts = {each.subject: _text_of_one(each, options.to, fields) for each in grades}
        output.path.mkdir(exist_ok=True)
        for each in grades:
            save(texts[each.subject], output.path / f"{file_name(each)}.json")
        return
    text = _text_of_one(grades[0], options.to, fields) if options.to in SINGLE else _text(grades, options.to)
    save(text, output.path) if output else write(text)


def _text_of_one(grade: Grade, receiver: str, fields: dict[str, str]) -> str:
    from archcheck.integrations.gradescope import render_gradescope

    return render_gradescope(grade) if receiver == "gradescope" else render_classroom50(grade, fields)


def _text(grades: Sequence[Grade], receiver: str) -> str:
    from archcheck.integrations.gitlab import render_gitlab
    from archcheck.integrations.grade_table import render_csv
    from archcheck.integrations.reviewdog import render_rdjson, render_rdjsonl

    if receiver == "csv":
        return render_csv(grades)
    if receiver == "gitlab":
        return render_gitlab(grades, base())
    return (render_rdjson if receiver == "rdjson" else render_rdjsonl)(grades, base(), published_pages())
