"""`archcheck snapshot` and `archcheck diff`: write committed measures, and compare measures."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.cli.contract_file import contract_of
from archcheck.cli.output import note, print_error, print_subject_error, save, write
from archcheck.cli.worker_options import worker_of
from archcheck.contract.document import show_path
from archcheck.facts.snapshot import (
    COUNTS,
    Snapshot,
    incomparable,
    is_snapshot,
    read_snapshot,
    snapshot_text,
    snapshots_of,
)
from archcheck.facts.snapshot_comparison import OF_LAYERS, Comparison, compare, compare_all, grown_layers
from archcheck.facts.snapshot_measures import measures_of
from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.foundation.file_locks import lock_beside
from archcheck.foundation.json_documents import read_json
from archcheck.foundation.words import quote
from archcheck.render.comparison import FORMATS, summary
from archcheck.render.wording import one_line

if TYPE_CHECKING:
    from archcheck.contract import Contract, SubjectEntry
    from archcheck.facts.facts import Facts
    from archcheck.rules.findings import Report

Measured = Mapping[str, Snapshot]
Limits = Mapping[str, Mapping[str, int]]
LIMITED = {
    "max-params": "params",
    "max-trainable-params": "trainable",
    "max-bytes": "bytes",
    "max-macs": "macs",
    "max-activations": "activations",
    "max-peak-memory": "peak_activation_bytes",
}
"""The rules that bound a total of a snapshot, and its name there."""


def snapshot(options: Namespace) -> int:
    """Write the measures of subjects to their snapshot files, or with `--check` compare them with these files."""
    from archcheck.judging.engine import chosen_entries

    contract = contract_of(options)
    chosen = chosen_entries(contract, options.subjects)
    files: dict[Path, list[SubjectEntry]] = {}
    for entry in chosen:
        files.setdefault(contract.snapshot_file(entry), []).append(entry)
    committed = {file: _read(file, options) for file in files}
    measured = _measure(contract, chosen, options)
    codes = [0 if len(measured) == len(chosen) else 2]
    for file, entries in files.items():
        facts = {entry.name: measured[entry.name] for entry in entries if entry.name in measured}
        today = {name: measures_of(each) for name, each in facts.items()}
        gone = [] if options.subjects else _gone(contract, file, committed[file])
        if options.check:
            codes.append(_check(show_path(file), committed[file], today, facts, gone))
        else:
            _write(file, committed[file], today, gone)
    return max(codes)


def _read(file: Path, options: Namespace) -> dict[str, Snapshot]:
    """Return the snapshots in a file. This happens before measuring; a file to be written may be missing."""
    if not options.check and not file.exists():
        if not file.parent.is_dir():
            raise ArchcheckError(f"there is no folder {show_path(file.parent)} for the snapshot; make it first")
        return {}
    return read_snapshot(file, show_path(file))


def _measure(contract: Contract, entries: Iterable[SubjectEntry], options: Namespace) -> dict[str, Facts]:
    """Measure subjects without the extra needs of their rules. Print the error of a subject that fails, and leave it
    out.
    """
    from archcheck.judging.engine import measure_subject

    measured = {}
    with worker_of(options) as worker:
        for entry in entries:
            try:
                measured[entry.name] = measure_subject(worker, contract, replace(entry, rules=()))
            except SubjectError as error:
                print_subject_error(entry.name, str(error))
    return measured


def _gone(contract: Contract, file: Path, committed: Measured) -> list[str]:
    here = {entry.name for entry in contract.subjects if contract.snapshot_file(entry) == file}
    return [name for name in committed if name not in here]


def _write(file: Path, committed: Measured, today: Measured, gone: Iterable[str]) -> None:
    if not today:
        return
    gone = tuple(gone)
    try:
        with lock_beside(file):
            there = read_snapshot(file, show_path(file)) if file.exists() else {}  # another may have written meanwhile
            kept = {name: old for name, old in there.items() if name not in gone}
            save(snapshot_text({**kept, **today}), file)
    except OSError as error:
        raise ArchcheckError(f"cannot write {show_path(file)}: {error.strerror}; choose another file") from None
    for name, now in today.items():
        said = summary(compare(name, committed[name], now)) if name in committed else "new"
        write(f"{one_line(name)}: {said}\n")
    for name in gone:
        write(f"{one_line(name)}: taken out, as the contract no longer names it\n")
    write(f"written to {show_path(file)}; commit it\n")


def _check(shown: str, committed: Measured, today: Measured, facts: Mapping[str, Facts], gone: Iterable[str]) -> int:
    """Compare measures with the committed ones. Return 1 if one grew, and 2 if this is unknown."""
    code = 0
    for name, now in today.items():
        before = committed.get(name)
        if before is None:
            print_error(f"the snapshot file `{shown}` has no entry for {quote(name)}; write it with {_command(name)}")
            code = 2
        elif reason := incomparable(before.totals, now.totals, COUNTS):
            print_error(f"{name}: {reason}; write it again with {_command(name)}")
            code = 2
        else:
            code = max(code, _compared(shown, compare(name, before, now), facts[name]))
    for name in gone:
        write(f"gone     {one_line(name)}: in {shown}, not in the contract; `archcheck snapshot` takes it out\n")
    return code


def _compared(shown: str, comparison: Comparison, facts: Facts) -> int:
    name, command = one_line(comparison.subject), _command(comparison.subject)
    grown = any(change.grew for change in comparison.totals)
    if comparison.same:
        write(f"same     {name}: as in {shown}\n")
    elif grown:
        write(
            f"grown    {name}: {summary(comparison)}\n{''.join(_places(comparison, facts))}"
            f"         {shown} is stale: undo that, or accept it with {command}\n"
        )
    else:
        word = "smaller" if any(change.shrank for change in comparison.totals) else "changed"
        write(f"{word}  {name}: {summary(comparison)}\n         {shown} is stale: write it again with {command}\n")
    return int(grown)


def _places(comparison: Comparison, facts: Facts) -> Iterator[str]:
    """Yield the layer that grew most, with the line that builds it, for each measure that layers have."""
    if comparison.before is None or comparison.after is None:
        return
    for change in comparison.totals:
        if change.grew and change.name in OF_LAYERS:
            for most in grown_layers(comparison.before, comparison.after, change.name)[:1]:
                place = facts.built_at(most.path)
                said = f"{change.name} grew most in {most}: +{most.added:,}" + (f", built at {place}" if place else "")
                yield f"         {one_line(said)}\n"


def _command(name: str) -> str:
    """Return the shell command that writes the measures of a subject."""
    return f"`archcheck snapshot {shlex.quote(one_line(name))}`"


def diff(options: Namespace) -> int:
    """Show what differs between two saved reports or snapshots."""
    text = FORMATS[options.format](differences(options))
    save(text, options.output) if options.output else write(text)
    return 0


def differences(options: Namespace) -> list[Comparison]:
    """Return what differs between two saved reports or snapshots, for each subject."""
    (first, _), (second, limits) = _read_measures(options.first), _read_measures(options.second)
    # Where each side has one subject its name may be of both: what is compared is the second's all the same.
    only = next(iter(limits.values())) if len(second) == len(limits) == 1 else {}
    return [replace(each, limits=limits.get(each.subject, only)) for each in compare_all(first, second)]


_REPAIR = "`archcheck snapshot` and `archcheck check --format json` write what can be read"


def _read_measures(file: Path) -> tuple[Measured, Limits]:
    """Return the measures in a saved report or snapshot, and the limits that a report states for them, by subject."""
    shown = show_path(file)
    if not file.exists():
        raise ArchcheckError(f"there is no file {shown}; name a saved report or a snapshot")
    document = read_json(file, shown, _REPAIR, streams=True)
    found, limits = (snapshots_of(document, shown), {}) if is_snapshot(document) else _of_reports(document, shown)
    if not found:
        raise ArchcheckError(f"{shown} holds no measures of any subject, so there is nothing to compare")
    return found, limits


def _of_reports(document: object, shown: str) -> tuple[Measured, Limits]:
    from archcheck.rules.findings import reports_from_json

    try:
        reports = reports_from_json(document)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchcheckError(
            f"{shown} is neither a snapshot nor a report of this archcheck: {reason}; {_REPAIR}"
        ) from None
    names = Counter(report.subject for report in reports)
    found, limits = {}, {}
    for report in reports:
        if report.facts is None:
            note(f"{shown}: {one_line(report.subject)} could not be measured, and is left out")
        else:
            target = f" ({report.facts.subject.target})" if names[report.subject] > 1 else ""
            measures = found[report.subject + target] = measures_of(report.facts)
            limits[report.subject + target] = _limits(report, measures)
    return found, limits


def _limits(report: Report, measures: Snapshot) -> dict[str, int]:
    """Return the limits of totals. A rule with another figure, such as that of a part, is left out."""
    limits: dict[str, int] = {}
    for outcome in report.outcomes:
        name = LIMITED.get(outcome.rule, "")
        if isinstance(outcome.limit, int) and name and outcome.found == getattr(measures.totals, name):
            limits[name] = min(outcome.limit, limits.get(name, outcome.limit))
    return limits
