"""Commands whose module is imported only when they run: most runs need one of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module

Command = Callable[[argparse.Namespace], int]


def imported_late(module: str, name: str) -> Command:
    """Return the command `name` of a module of `archcheck.cli` that is imported only when the command runs."""

    def run(options: argparse.Namespace) -> int:
        command: Command = getattr(import_module(f"archcheck.cli.{module}"), name)
        return command(options)

    return run
