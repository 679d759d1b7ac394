"""The targets of `archcheck report` one by one: several names, and the Python files of folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.model_configurations import configuration_file
from archcheck.rules.findings import Report

_ENVIRONMENT = "pyvenv.cfg"
"""The file that marks a folder of installed packages."""


def single_targets(target: str) -> tuple[str, ...]:
    """Return a target, or the files that use torch in the folder that it names, in the order of their paths.

    A folder with the configuration of a network is one target.

    Hidden folders and virtual environments are left out.

    Raises:
        ArchcheckError: no file in the folder uses torch.
    """
    if not Path(target).is_dir() or configuration_file(Path(target)):
        return (target,)
    found = tuple(_files_in(target))
    if not found:
        raise ArchcheckError(
            f"no Python file in `{target}` uses torch; name a file, as in `{target.rstrip('/')}/model.py`"
        )
    return found


def _files_in(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith((".", "__")))
        if _ENVIRONMENT in files:
            folders.clear()
            continue
        paths = (os.path.join(here, name) for name in sorted(files) if name.endswith(".py"))  # noqa: PTH118 - as given
        yield from (path for path in paths if _uses_torch(Path(path)))


def _uses_torch(file: Path) -> bool:
    try:
        return file.is_file() and b"torch" in file.read_bytes()
    except OSError:  # one that must not be read: its report says so
        return True


def told_apart(found: Sequence[tuple[str, Report]]) -> tuple[Report, ...]:
    """Return the reports of several targets; subjects of one name get that of their target."""
    names = Counter(report.subject for _, report in found)
    return tuple(
        replace(report, subject=_called(target, report.subject)) if names[report.subject] > 1 else report
        for target, report in found
    )


def _called(target: str, subject: str) -> str:
    return target if ":" in target else f"{target}:{subject}"
