"""The folder where a subject works while it is measured. It is removed afterwards.

It reads as the folder that archcheck was started in, whose entries are linked there; so are those of the project's
root and those beside the subject's file, where their names are free, and beyond `..` the neighbours of that folder.
What the subject writes under a new name is gone with the folder. A link leads to the real thing: a file that exists,
and what is within a folder that exists, can be changed. In a folder of thousands of entries it works itself.
"""

# Thousands of names may be linked for each subject.

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

_MOST = 2_000
"""Entries of a folder that are linked: each takes some microseconds, on a slow disk a hundred times as long."""
_NEIGHBOURS = 100
"""The same of the folder above: where there are more, they have little to do with each other."""


def settle(place: str, others: Sequence[str]) -> str:
    """Change to a folder within `place` that reads as the current one and the `others`; return where we are then.

    Temporary files go to `place`, too.
    """
    here = Path.cwd()
    names = _names(str(here), _MOST)
    temporary = os.path.join(place, "tmp")
    inside = os.path.join(place, "near", here.name or "root")
    for folder in (temporary, inside):
        os.makedirs(folder)
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    if names is None:
        return str(here)
    for folder in (str(here), *others):
        _link(folder, inside, _MOST)
    _link(str(here.parent), os.path.dirname(inside), _NEIGHBOURS)
    os.chdir(inside)
    return inside


def _names(folder: str, most: int) -> list[str] | None:
    """Return what is in a folder, nothing if it cannot be read; `None` for too much."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, most + 1)]
    except OSError:
        return []
    return names if len(names) <= most else None


def _link(folder: str, into: str, most: int) -> None:
    """Link the entries of a folder whose names are free, unless there are too many."""
    for name in _names(folder, most) or ():
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(into, name))


def remove(folder: str) -> None:
    """Remove a folder, also where a subject has taken the right to do so from itself; links are not followed."""

    def again(function: Callable[..., Any], path: str, error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    shutil.rmtree(folder, onerror=again)
