"""The option `--on`: which engine does the work of a command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archcheck.foundation.platform_support import demand_extra
from archcheck.foundation.words import did_you_mean, quote

if TYPE_CHECKING:
    from archcheck.workers.remote_worker import Engine

LOCAL = "local"
ENGINES = (LOCAL, "ray", "submitit")


def add_on(parser: argparse.ArgumentParser) -> None:
    """Add the option `--on`."""
    parser.add_argument(
        "--on",
        type=_engine_of,
        default=LOCAL,
        metavar="ENGINE",
        help="where the work is done: local, this machine; ray, the cluster at RAY_ADDRESS or a new one on this "
        "machine; submitit, Slurm or else processes; local by default",
    )


def _engine_of(word: str) -> str:
    if word not in ENGINES:
        hint = did_you_mean(word, ENGINES, f"the engines are {', '.join(ENGINES[:-1])} and {ENGINES[-1]}")
        raise argparse.ArgumentTypeError(f"{quote(word)} is not an engine{hint}")
    return word


@contextmanager
def engine_named(name: str, *, jobs: int | None, timeout: float) -> Iterator[Engine]:
    """Yield an engine other than the local one, and end it afterwards. A request takes at most `timeout` seconds.

    Raises `ArchcheckError` if its package is missing, or if it cannot be reached.
    """
    demand_extra(name, name, f"`--on {name}`")
    if name == "ray":
        from archcheck.integrations.ray_engine import ray_engine

        with ray_engine(jobs) as engine:
            yield engine
    else:
        from archcheck.integrations.submitit_engine import submitit_engine

        with submitit_engine(jobs, timeout) as engine:
            yield engine
