"""Where a subject works while it is measured: a folder that is removed afterwards, within bounds.

It reads as the folder that archcheck was started in, whose entries are linked there; so are those of the project's
root and those beside the subject's file, where their names are free, and beyond `..` the neighbours of that folder.
What the subject writes under a new name is gone with the folder. A link leads to the real thing: a file that exists,
and what is within a folder that exists, can be changed.
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

_MOST = 10_000
"""Entries of a folder that are linked; to link more takes longer than to measure most networks."""
_NEIGHBOURS = 1_000
"""Entries of the folder above; where there are more, it is a heap of things that have nothing to do with each other."""


def settle(place: str, others: Sequence[str]) -> str:
    """Change to a folder within `place` that reads as the current one and the `others`; return it.

    Temporary files go to `place`, too.
    """
    here = Path.cwd()
    temporary = os.path.join(place, "tmp")
    inside = os.path.join(place, "near", here.name or "root")
    for folder in (temporary, inside):
        os.makedirs(folder)
    for folder in (str(here), *others):
        _link(folder, inside, _MOST)
    _link(str(here.parent), os.path.dirname(inside), _NEIGHBOURS)
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    os.chdir(inside)
    return inside


def _link(folder: str, into: str, most: int) -> None:
    """Link the entries of a folder, as far as it can be read and their names are free."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, most):
            with contextlib.suppress(FileExistsError):
                os.symlink(os.path.abspath(entry.path), os.path.join(into, entry.name))


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
