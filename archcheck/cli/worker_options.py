"""Create the workers that a command uses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from archcheck.cli.engine_options import LOCAL, engine_named
from archcheck.cli.output import note
from archcheck.facts.option_words import IMPORT_TIMEOUT
from archcheck.foundation import platform_support
from archcheck.foundation.words import amount, listed
from archcheck.workers import sandbox
from archcheck.workers.cache import Cache
from archcheck.workers.worker_process import TIMEOUT, Worker

_SHOWN = 10
"""Subjects that a note names at most."""


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
    if getattr(options, "on", LOCAL) != LOCAL:
        settings = {"cache": None if options.no_cache else Cache(), "sandbox": options.sandbox}
        with remote_workers(options, subjects, timeout=options.timeout or TIMEOUT, **settings) as remote:
            yield remote
        return
    with ExitStack() as stack:
        yield tuple(stack.enter_context(worker_of(options)) for _ in range(max(1, min(options.jobs or 1, subjects))))


@contextmanager
def remote_workers(options: Namespace, most: int, *, timeout: float, **settings: Any) -> Iterator[tuple[Worker, ...]]:
    """Yield workers on the engine that `--on` names: as many as it has room for, or `--jobs`, but at most `most`.

    End the engine afterwards, and name in a note what was done again after its node was lost. `timeout` is in seconds.

    Raises `ArchcheckError` if the engine's package is missing, or if it cannot be reached.
    """
    from archcheck.workers.remote_worker import RemoteWorker

    platform_support.refuse_if_unable()
    settings = {"timeout": timeout, "import_timeout": options.import_timeout or IMPORT_TIMEOUT, **settings}
    wanted = getattr(options, "jobs", None)
    with engine_named(options.on, jobs=wanted, timeout=timeout) as engine, ExitStack() as stack:
        count = max(1, min(wanted or engine.slots, most))
        try:
            yield tuple(stack.enter_context(RemoteWorker(engine, **settings)) for _ in range(count))
        finally:
            if engine.lost:
                times = amount(len(engine.lost), "requests")
                note(f"a node or process was lost, so {times} went to another: {_named(engine.lost)}")


def _named(lost: list[str]) -> str:
    names = list(dict.fromkeys(lost))
    rest = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{listed(names[:_SHOWN])}{rest}"
