"""`archcheck train`: define its options, and show its progress and results."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archcheck.cli.contract_file import contract_of
from archcheck.cli.engine_options import LOCAL, add_on
from archcheck.cli.option_values import output_of, positive, whole_of
from archcheck.cli.output import note, write
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import amount, visible

if TYPE_CHECKING:
    from archcheck.contract import Contract, SubjectEntry
    from archcheck.judging.until_decided import RuleStatus
    from archcheck.workers.worker_process import Worker


def add_train(parser: ArgumentParser) -> None:
    """Add the words of `train`."""
    parser.add_argument("subject", metavar="SUBJECT", help="the name of a subject of the contract")
    parser.add_argument(
        "--seed",
        action="append",
        type=whole_of,
        metavar="N",
        help="seed of a run; repeat it for several runs; by default the first seed that the record does not hold",
    )
    parser.add_argument(
        "--epochs", type=positive(int), metavar="N", help="train only N epochs; such a trial is not recorded"
    )
    parser.add_argument(
        "--until-decided", action="store_true", help="train one seed after another until min-accuracy is decided"
    )
    parser.add_argument(
        "--max-seeds",
        type=positive(int),
        metavar="N",
        help="stop --until-decided when the record holds N seeds; 20 by default",
    )
    add_on(parser)
    parser.add_argument("--output", type=output_of, metavar="FILE", help="write the record to this file")


def train(options: Namespace) -> int:
    """Train a subject with the trainer of its contract. Show the results and the file of the record."""
    try:
        return _until_decided(options) if options.until_decided else _train(options)
    except KeyboardInterrupt:
        note("interrupted: the run that was not done is not recorded, and what the record held before it stays")
        raise


def _train(options: Namespace) -> int:
    if options.max_seeds:
        raise ArchcheckError("--max-seeds bounds what --until-decided adds; give both, or neither")
    from archcheck.contract.document import show_path
    from archcheck.workers.training import train as run

    contract = contract_of(options)
    entry = _entry(contract, options)
    seeds = options.seed or ()
    with _workers(options, len(seeds)) as workers:
        record, target = run(
            contract,
            entry,
            seeds=seeds,
            epochs=options.epochs,
            output=options.output,
            on_epoch=_show_epoch,
            tell=note,
            workers=workers,
            **_limit(options),
        )
    for each in record["runs"][-max(1, len(seeds)) :]:
        _show_run(entry.name, each)
    write(f"recorded in {visible(show_path(target))}\n" if target else "a trial: nothing is recorded\n")
    return 0


def _until_decided(options: Namespace) -> int:
    """Train until it is decided. Return 0 only if the rules are kept."""
    if options.seed or options.epochs:
        raise ArchcheckError(
            "--until-decided chooses the seeds itself, and trains each to its end; leave out --seed and --epochs"
        )
    from archcheck.contract.document import show_path
    from archcheck.foundation.statistics.sequential_decisions import Answer
    from archcheck.judging.until_decided import MOST_SEEDS, train_until_decided

    contract = contract_of(options)
    entry = _entry(contract, options)

    def show_look(run: Mapping[str, Any] | None, standings: Sequence[RuleStatus]) -> None:
        if run is not None:
            _show_run(entry.name, run)
        for standing in standings:
            answer = "" if standing.answer is Answer.UNDECIDED else f"{standing.answer}: "
            write(f"{visible(f'{entry.name}: {standing.instance} {answer}{standing.message}')}\n")

    most, limit = options.max_seeds or MOST_SEEDS, _limit(options)
    with _workers(options, 1) as workers:
        answer, target = train_until_decided(
            contract,
            entry,
            most=most,
            output=options.output,
            on_epoch=_show_epoch,
            on_look=show_look,
            tell=note,
            workers=workers,
            **limit,
        )
    given_up = f", and --max-seeds is {most}" if answer is Answer.UNDECIDED else ""
    write(f"{answer}{given_up}; recorded in {visible(show_path(target))}\n")
    return int(answer is not Answer.KEPT)


def _entry(contract: Contract, options: Namespace) -> SubjectEntry:
    """Return the subject, with the import time limit of the command line."""
    entry = contract.subject(options.subject)
    return replace(entry, import_timeout=options.import_timeout) if options.import_timeout else entry


@contextmanager
def _workers(options: Namespace, seeds: int) -> Iterator[Sequence[Worker]]:
    """Yield the workers of the engine that `--on` names, at most one per seed. On this machine the training has its
    own, so that there is none.
    """
    if options.on == LOCAL:
        yield ()
        return
    from archcheck.cli.worker_options import remote_workers
    from archcheck.workers.training import DAY

    with remote_workers(options, max(1, seeds), timeout=options.timeout or DAY) as workers:
        yield workers


def _limit(options: Namespace) -> dict[str, Any]:
    return {"timeout": options.timeout} if options.timeout else {}


def _show_run(name: str, run: Mapping[str, Any]) -> None:

    result = f"{run['test']['correct']:,} of {run['test']['total']:,} correct on the test set"
    write(f"{visible(name)}: seed {run['seed']}, {amount(len(run['epochs']), 'epochs')}, {result}\n")


def _show_epoch(values: Mapping[str, Any]) -> None:
    from archcheck.rules.findings import plain

    note(plain(values))
