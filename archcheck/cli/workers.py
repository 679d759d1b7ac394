"""The workers that a command asks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archcheck import sandbox, systems
from archcheck.cache import Cache
from archcheck.isolate import TIMEOUT, Worker
from archcheck.parts import IMPORT_TIMEOUT


def worker_of(options: Namespace) -> Worker:
    """Return a worker as the command line wants it: with its limits of time, its cache, and `--sandbox`.

    Raises `ArchcheckError` where there is no sandbox, or nothing can be measured at all.
    """
    systems.refuse_if_unable()
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
