"""`archcheck check --watch`: judge again whenever a file of the project changes."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from archcheck.cli.contract_file import contract_of
from archcheck.cli.engine_options import LOCAL
from archcheck.cli.option_values import refuse_given
from archcheck.cli.output import note, print_error, show, write
from archcheck.cli.worker_options import worker_of
from archcheck.contract import SubjectEntry
from archcheck.contract.document import show_path
from archcheck.facts.records import PARANOID
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.platform_support import demand_extra
from archcheck.foundation.words import first_of, listed, visible
from archcheck.judging.engine import check_entry, chosen_entries
from archcheck.judging.stages import left_out, stages
from archcheck.rules.findings import Report
from archcheck.workers.worker_process import Worker

_SUFFIXES = (".py", ".ipynb", ".toml", ".md", ".json", ".safetensors", ".pt", ".pth", ".pt2", ".onnx")
"""Files that a verdict may depend on: code, contracts, texts, snapshots, records, weights and programs."""
_CLEAR = "\x1b[2J\x1b[3J\x1b[H"
_SHOWN = 5
"""Files that the head of a screen names at most."""
Changes = SimpleQueue[frozenset[Path]]


def watch(options: Namespace) -> int:
    """Judge the subjects of the contract now and after each change, until the user interrupts.

    torch stays imported in a worker. Subjects that did not change come from the cache. Rules that the graph answers are
    shown first. A change during a judgement ends it.
    """
    refuse_given(options, ("shard", "output"), "is of no use with --watch, which shows the verdicts; leave it out")
    if options.on != LOCAL:
        raise ArchcheckError("--on is of no use with --watch, which answers within a moment; leave it out")
    demand_extra("watchfiles", "watch", "`archcheck check --watch`")
    from archcheck.integrations.file_watch import changes_below

    root = contract_of(options).root
    with worker_of(options) as worker, changes_below(root, lambda path: _is_relevant(path, worker)) as changes:
        worker.is_stale = lambda: not changes.empty()
        changed: frozenset[Path] = frozenset()
        while True:
            _judge(worker, options, changed, changes)
            changed = changes.get()
            while not changes.empty():
                changed |= changes.get()


def _is_relevant(path: Path, worker: Worker) -> bool:
    """Whether a verdict may depend on a file. The entries of the cache may lie in the project."""
    own = worker.cache.folder if worker.cache else None
    return path.suffix in _SUFFIXES and not (own and path.is_relative_to(own))


def _judge(worker: Worker, options: Namespace, changed: Iterable[Path], changes: Changes) -> None:
    began = time.monotonic()
    try:
        contract = contract_of(options)
        entries = chosen_entries(contract, options.subjects)
    except ArchcheckError as error:
        _head(changed)
        print_error(str(error))
        return
    entries = tuple(replace(each, meta=each.meta or options.meta, unsafe=options.unsafe) for each in entries)
    quick, whole = _stages(entries)
    needs_whole = [PARANOID] if options.paranoid else []
    runs: list[tuple[tuple[SubjectEntry, ...], list[str]]] = [(whole, needs_whole)]
    if quick != whole or needs_whole:
        runs.insert(0, (quick, []))
    failed: dict[str, Report] = {}
    for number, (chosen, needs) in enumerate(runs, 1):
        # What could not be measured for the first rules would fail, or be late, once more.
        reports = tuple(failed.get(each.name) or check_entry(worker, contract, each, needs=needs) for each in chosen)
        failed = {each.name: report for each, report in zip(chosen, reports, strict=True) if report.error}
        if not changes.empty():
            return
        _head(changed)
        show(reports, options.format, None, outcomes_only=True)
        is_last = number == len(runs) or len(failed) == len(chosen)
        note(f"judged in {time.monotonic() - began:.2f} s{'' if is_last else '; the rest follows'}; Ctrl-C ends")
        if is_last:
            break
    if left := dict.fromkeys(name for entry in entries for name in left_out(entry)):
        note(f"left to `archcheck check`: {listed(left)}")


def _stages(entries: Sequence[SubjectEntry]) -> tuple[tuple[SubjectEntry, ...], tuple[SubjectEntry, ...]]:
    """Return the subjects with the rules that the graph answers, then with all that are judged here."""
    staged = [stages(entry) or (entry if not entry.rules else replace(entry, rules=()),) for entry in entries]
    return tuple(each[0] for each in staged), tuple(each[-1] for each in staged)


def _head(changed: Iterable[Path]) -> None:
    """Begin a screen, or outside a terminal a paragraph, with the time and what changed."""
    names = sorted(map(show_path, changed))
    said = f": {visible(first_of(names, _SHOWN))} changed" if names else ""
    text = f"{time.strftime('%H:%M:%S')}  archcheck check --watch{said}"
    write(f"{_CLEAR if sys.stdout is not None and sys.stdout.isatty() else ''}{text}\n\n")
