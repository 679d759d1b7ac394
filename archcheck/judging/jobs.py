"""Judge several subjects at a time. Each worker takes the next subject when it is free; reports keep their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archcheck.contract import Contract, SubjectEntry
from archcheck.judging.engine import check_entry
from archcheck.rules.findings import Report
from archcheck.workers.in_parallel import in_parallel
from archcheck.workers.worker_process import Worker


def check_many(
    contract: Contract, entries: Sequence[SubjectEntry], workers: Sequence[Worker], *, needs: Sequence[str] = ()
) -> Iterator[Report]:
    """Judge subjects of `contract` in `workers`, and yield a report for each in the order of `entries`.

    A subject that fails gets a report with an error and stops no other. An exception in the caller, or closing the
    iterator, ends all workers and their processes.
    """

    def check(worker: Worker, entry: SubjectEntry) -> Report:
        return check_entry(worker, contract, entry, needs=needs)

    yield from in_parallel(workers, entries, check)
