"""The workers that a command asks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archcheck.cache import Cache
from archcheck.isolate import TIMEOUT, Worker
from archcheck.parts import IMPORT_TIMEOUT
from archcheck.sandbox import refuse_if_unable


def worker_of(options: Namespace) -> Worker:
    """Return a worker as the command line wants it: with its limits of time, its cache, and `--sandbox`."""
    sandbox = getattr(options, "sandbox", False)
    if sandbox:
        refuse_if_unable()
    cache = None if options.no_cache else Cache()
    return Worker(
        timeout=options.timeout or TIMEOUT,
        import_timeout=options.import_timeout or IMPORT_TIMEOUT,
        cache=cache,
        sandbox=sandbox,
    )


@contextmanager
def workers_of(options: Namespace, subjects: int) -> Iterator[tuple[Worker, ...]]:
    """Give as many workers as `--jobs` asks for, but not more than there are subjects; end them afterwards."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(worker_of(options)) for _ in range(max(1, min(options.jobs, subjects))))
