"""The command line: the only place that prints or exits.

Standard output carries the report and nothing else; messages go to standard error. Exit codes: 0 kept, 1
broken, 2 could not check, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from archcheck.cli.options import parse
from archcheck.cli.output import print_error, write
from archcheck.foundation.errors import ArchcheckError, name_too_long
from archcheck.foundation.garbage_collection import collection_rare
from archcheck.foundation.platform_support import PACKAGES, not_installed

_LAST_STREAM = 2
"""The descriptor of standard error, after those of standard input and output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (by default those of the process) name and return its exit code."""
    _fill_descriptors()
    with contextlib.suppress(ValueError, AttributeError):  # only the main thread may; Windows has no SIGHUP
        signal.signal(signal.SIGTERM, _terminate)
        signal.signal(signal.SIGHUP, _terminate)
    try:
        _look_around()
        with collection_rare():
            return _run(sys.argv[1:] if arguments is None else arguments)
    except ArchcheckError as error:
        print_error(str(error))
        return 2
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        print_error(not_installed(error.name))
        return 2
    except OSError as error:
        if not (message := name_too_long(error)):
            raise
        print_error(message)
        return 2
    except MemoryError:
        print_error("there is not enough memory for this; read a smaller file, or judge fewer subjects at a time")
        return 2
    except KeyboardInterrupt:
        return 130


def _fill_descriptors() -> None:
    """Open each of the three standard streams that is closed. Otherwise a pipe to a worker would get its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STREAM:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _look_around() -> None:
    """Raise `ArchcheckError` if the current folder no longer exists."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ArchcheckError("the current folder no longer exists; change to another one") from None


def _run(arguments: Sequence[str]) -> int:
    try:
        options = parse(arguments)
        code: int = options.run(options)
    except SystemExit as leave:  # `--help`, `--version` or a signal
        code = int(leave.code or 0)
    write("")
    return code


def _terminate(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that the worker is ended, too."""
    raise SystemExit(128 + number)
