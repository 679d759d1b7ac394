"""The workers that a command asks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archcheck.cache import Cache
from archcheck.isolate import TIMEOUT, Worker


def worker_of(options: Namespace) -> Worker:
    """Return a worker with the `--timeout` of the command line, and without a cache under `--no-cache`."""
    return Worker(timeout=options.timeout or TIMEOUT, cache=None if options.no_cache else Cache())


@contextmanager
def workers_of(options: Namespace, subjects: int) -> Iterator[tuple[Worker, ...]]:
    """Give as many workers as `--jobs` asks for, but not more than there are subjects; end them afterwards."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(worker_of(options)) for _ in range(max(1, min(options.jobs, subjects))))
