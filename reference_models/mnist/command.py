"""What the command lines share: a parser that fails in one line, and the exit codes."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from reference_models.mnist.errors import MnistError, UsageError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are `UsageError` instead of several lines of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with argparse's own `message`."""
        raise UsageError(f"{message}; see `python -m {self.prog} --help`")


def execute(command: Callable[[], None], *, after_interruption: str = "nothing is left behind") -> int:
    """Run `command` and return its exit code: 0, 2 after a `MnistError`, 130 after an interruption.

    `after_interruption` tells the user who pressed Ctrl-C where that leaves them.
    """
    try:
        command()
    except MnistError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; {after_interruption}\n")
        return 130
    return 0
