"""Define the options of commands that judge the subjects of a contract."""

from __future__ import annotations

from argparse import ArgumentParser

from archcheck.cli.engine_options import add_on
from archcheck.cli.option_values import positive, shard_of

PARANOID = "measure each model a second time, on real numbers and without the trace, and compare the results"


def add_judging(parser: ArgumentParser) -> None:
    """Add the options of `check`."""
    add_jobs(parser)
    add_on(parser)
    parser.add_argument(
        "--shard",
        type=shard_of,
        metavar="I/N",
        help="judge only part I of N, counted from 1; `archcheck merge` joins the reports",
    )


def add_jobs(parser: ArgumentParser) -> None:
    """Add the options that say how subjects are judged."""
    parser.add_argument(
        "--jobs",
        type=positive(int),
        metavar="N",
        help="measure N subjects in parallel, 1 by default; each one runs in a process of its own with torch",
    )
    parser.add_argument(
        "--no-paranoid", dest="paranoid", action="store_false", help="skip the second measurement on real numbers"
    )
    parser.add_argument("--paranoid", action="store_true", default=True, help=f"{PARANOID}; this is the default")
