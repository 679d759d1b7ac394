"""Create the workers that a command uses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archcheck.facts.option_words import IMPORT_TIMEOUT
from archcheck.foundation import platform_support
from archcheck.workers import sandbox
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import TIMEOUT, Worker


def worker_of(options: Namespace) -> Worker:
    """Return a worker with the time limits, the cache and the sandbox of the command line.

    Raises `ArchcheckError` if the sandbox is missing, or if nothing can be measured on this system.
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
    """Yield as many workers as `--jobs` says, but at most one per subject. End them afterwards."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(worker_of(options)) for _ in range(max(1, min(options.jobs, subjects))))
