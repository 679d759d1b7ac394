"""The digests of the files of weights that reports name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archcheck.cli.contract_file import contract_of
from archcheck.contract import discover
from archcheck.foundation.regular_files import sha256_of
from archcheck.foundation.suffixes import SOURCE, is_file

if TYPE_CHECKING:
    from argparse import Namespace

    from archcheck.contract import Contract
    from archcheck.rules.findings import Report


def hashes_of(reports: Sequence[Report], options: Namespace) -> Mapping[str, str]:
    """Return the SHA-256 of each file of weights, by its name in the reports, or by the target that it was loaded into.

    Files that are gone or cannot be read have none.
    """
    file = options.config or discover()
    contract = contract_of(options) if file else None
    found = {}
    for report in reports:
        for name, place in _files(report, options, contract):
            try:
                found[name] = sha256_of(place)
            except OSError:
                continue
    return found


def _files(report: Report, options: Namespace, contract: Contract | None) -> Iterator[tuple[str, Path]]:
    if report.weights:
        yield report.weights.file, Path(report.weights.file)
    if report.facts is None:
        return
    target, training = report.facts.subject.target, report.facts.training
    entries = contract.subjects if contract else ()
    entry = next((each for each in entries if (each.name, each.model) == (report.subject, target)), None)
    root = contract.root if contract and entry else Path()
    if getattr(options, "weights", None):
        yield target, Path(options.weights)
    elif entry and isinstance(entry.weights, str):  # of several files, each is a subject by now
        yield target, root / entry.weights
    elif is_file(target) and not target.endswith(SOURCE):
        yield target, root / target
    elif training and training.checkpoint_file:
        yield training.checkpoint_file, root / training.checkpoint_file
