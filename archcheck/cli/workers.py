"""The worker that a command asks."""

from __future__ import annotations

from argparse import Namespace

from archcheck.cache import Cache
from archcheck.isolate import TIMEOUT, Worker


def worker_of(options: Namespace) -> Worker:
    """Return a worker with the `--timeout` of the command line, and without a cache under `--no-cache`."""
    return Worker(timeout=options.timeout or TIMEOUT, cache=None if options.no_cache else Cache())
