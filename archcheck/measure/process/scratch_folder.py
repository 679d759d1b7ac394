"""The working folder of a subject while it is measured. It is removed afterwards.

It contains links to the entries of the folder that archcheck was started in. If their names are free, it also links the
entries of the project's root and the files beside the subject's file; `..` links the neighbours of the start folder.
New files that the subject writes are removed with the folder. Existing files can still be changed through the links. If
the start folder has thousands of entries, the subject works in it directly.
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
"""Entries of a folder that are linked at most: each takes some microseconds, on a slow disk a hundred times as long."""
_NEIGHBOURS = 100
"""The same limit for the parent folder. The entries of a larger one are probably unrelated."""


def enter_scratch_folder(place: str, others: Sequence[str]) -> str:
    """Change to a folder in `place` with links to the entries of the current folder and the `others`; return it.

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
    """Return the names in a folder: none if it cannot be read, `None` if there are more than `most`."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, most + 1)]
    except OSError:
        return []
    return names if len(names) <= most else None


def _link(folder: str, into: str, most: int) -> None:
    """Link the entries of a folder into another one if their names are free and there are not too many."""
    for name in _names(folder, most) or ():
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(into, name))


def remove(folder: str) -> None:
    """Remove a folder, even if the subject removed its own permissions for that. Links are not followed."""

    def again(function: Callable[..., Any], path: str, error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)

    shutil.rmtree(folder, onerror=again)
