"""What each command does. Everything heavy is imported when it is needed."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.cli.contracts import contract_of
from archcheck.cli.output import note, show, write
from archcheck.errors import ArchcheckError
from archcheck.words import did_you_mean, quote

if TYPE_CHECKING:
    from archcheck.findings import Report
    from archcheck.rule import Rule


def report(options: Namespace) -> int:
    """Show what a target is. A broken rule does not make it fail; that nothing was measured does."""
    file = Path(options.target)
    if file.suffix == ".json" and file.is_file():
        reports = read_reports(file)
    else:
        from archcheck.cli.targets import reports_of

        reports = reports_of(options)
    show(reports, options.format, options.output, depth=options.depth)
    return 0 if any(one.facts for one in reports) else 2


def read_reports(file: Path) -> tuple[Report, ...]:
    """Read a saved JSON report."""
    from archcheck.findings import reports_from_json

    try:
        reports = reports_from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ArchcheckError(f"{file}: {error}; `archcheck report … --format json` writes a report") from None
    if not reports:
        raise ArchcheckError(f"{file}: holds no report of any subject; `archcheck check --format json` writes one each")
    return reports


def check(options: Namespace) -> int:
    """Judge the subjects of the contract."""
    from archcheck.cli.workers import worker_of
    from archcheck.engine import check_contract, exit_code

    contract = contract_of(options)
    if options.meta:
        contract = replace(contract, subjects=tuple(replace(entry, meta=True) for entry in contract.subjects))
    with worker_of(options) as worker:
        reports = tuple(check_contract(contract, options.subjects, worker=worker))
    show(reports, options.format, options.output, outcomes_only=True)
    return exit_code(reports)


def train(options: Namespace) -> int:
    """Train a subject as its contract says; show what came out, and where the evidence is."""
    from archcheck.contract.document import show_path
    from archcheck.render.words import count
    from archcheck.training import train as run

    contract = contract_of(options)
    entry = contract.subject(options.subject)
    seeds = options.seed or ()
    limits = {"timeout": options.timeout} if options.timeout else {}
    record, target = run(
        contract, entry, seeds=seeds, epochs=options.epochs, output=options.output, on_epoch=_show_epoch, **limits
    )
    for each in record["runs"][-max(1, len(seeds)) :]:
        result = f"{each['test']['correct']:,} of {each['test']['total']:,} correct on the test set"
        write(f"{entry.name}: seed {each['seed']}, {count(len(each['epochs']), 'epoch')}, {result}\n")
    write(f"recorded in {show_path(target)}\n" if target else "a trial: nothing is recorded\n")
    return 0


def _show_epoch(values: Mapping[str, Any]) -> None:
    from archcheck.findings import plain

    note(plain(values))


def explain(options: Namespace) -> int:
    """Show the page of a rule."""
    from archcheck.explain import page

    write(page(_rule(options.rule)))
    return 0


def rules(options: Namespace) -> int:
    """List the rules by group."""
    from archcheck.explain import promise
    from archcheck.rule import rule_name
    from archcheck.rules import BUILTIN

    width = max(len(rule_name(rule)) for rule in BUILTIN)
    for group, members in groupby(BUILTIN, key=_group):
        lines = [f"  {rule_name(rule):<{width}}  {promise(rule)}\n" for rule in members]
        write(f"{group}\n{''.join(lines)}\n")
    write("`archcheck explain RULE` shows parameters and examples.\n")
    return 0


def _group(rule: type[Rule]) -> str:
    return rule.__module__.rpartition(".")[2]


def _rule(name: str) -> type[Rule]:
    from archcheck.rule import rule_name
    from archcheck.rules import BUILTIN, find

    rule = find(name)
    if rule is None:
        hint = did_you_mean(name, map(rule_name, BUILTIN), "`archcheck rules` lists them")
        raise ArchcheckError(f"{quote(name)} is not a rule{hint}")
    return rule
