"""The workers that a command asks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archcheck.facts.records import IMPORT_TIMEOUT
from archcheck.foundation import platform_support
from archcheck.workers import sandbox
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import TIMEOUT, Worker


def worker_of(options: Namespace) -> Worker:
    """Return a worker as the command line wants it: with its limits of time, its cache, and `--sandbox`.

    Raises `ArchcheckError` where there is no sandbox, or nothing can be measured at all.
    """
    platform_support.refuse_if_unable()
    confined = getattr(options, "sandbox", False)
    if confined:
        sandbox.refuse_if_unable()
    return Worker(
        timeout=options.timeout or TIMEOUT,
        import_timeout=options.import_timeout or IMPORT_TIMEOUT,
        cache=None if options.no_cache else Cache(),
        sandbox=confined,
    )


@contextmanager
def workers_of(options: Namespace, subjects: int) -> Iterator[tuple[Worker, ...]]:
    """Give as many workers as `--jobs` asks for, but not more than there are subjects; end them afterwards."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(worker_of(options)) for _ in range(max(1, min(options.jobs, subjects))))
