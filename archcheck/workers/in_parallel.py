"""Give items to several workers. Each worker takes the next item when it is free; results keep the items' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import TypeVar

from archcheck.foundation.interruptions import uninterrupted
from archcheck.workers.worker_process import Worker

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    workers: Sequence[Worker], items: Sequence[Item], do: Callable[[Worker, Item], Result]
) -> Iterator[Result]:
    """Yield `do(worker, item)` for each item, in the order of `items`. One worker does so in the calling thread.

    What `do` raises is raised when the results before it were yielded. An exception in the caller, or closing the
    iterator, cancels all workers: their processes end.
    """
    if len(workers) == 1:
        yield from (do(workers[0], item) for item in items)
        return
    from concurrent.futures import ThreadPoolExecutor  # only here: one worker needs no threads

    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def take(item: Item) -> Result:
        worker = free.get()
        try:
            return do(worker, item)
        finally:
            free.put(worker)

    pool = ThreadPoolExecutor(len(workers), thread_name_prefix="archcheck")
    try:
        futures = deque(pool.submit(take, item) for item in items)
        while futures:
            yield futures.popleft().result()  # a result is the caller's alone, who may let it go
    except BaseException:
        with uninterrupted():
            for worker in workers:
                worker.cancel()
            pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()
