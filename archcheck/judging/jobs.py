"""Judge several subjects at a time. Each worker takes the next subject when it is free; reports keep their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from archcheck.contract import Contract, SubjectEntry
from archcheck.judging.engine import check_entry
from archcheck.rules.findings import Report
from archcheck.workers.worker_process import Worker


def check_many(
    contract: Contract, entries: Sequence[SubjectEntry], workers: Sequence[Worker], *, needs: Sequence[str] = ()
) -> Iterator[Report]:
    """Judge subjects of `contract` in `workers`, and yield a report for each in the order of `entries`.

    A subject that fails gets a report with an error and stops no other. An exception in the caller, or closing the
    iterator, ends all workers and their processes.
    """
    if len(workers) == 1:
        yield from (check_entry(workers[0], contract, entry, needs=needs) for entry in entries)
        return
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def check(entry: SubjectEntry) -> Report:
        worker = free.get()
        try:
            return check_entry(worker, contract, entry, needs=needs)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(len(workers), thread_name_prefix="archcheck")
    try:
        futures = deque(pool.submit(check, entry) for entry in entries)
        while futures:
            yield futures.popleft().result()  # a report is the caller's alone, who may let it go
    except BaseException:
        for worker in workers:
            worker.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
