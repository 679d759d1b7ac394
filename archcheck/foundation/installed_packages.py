"""Tell installed packages from the code of the subject: one definition for the guard, the loader, the tracer and the
cache.

Python itself is installed, and so are the package folders of this interpreter, environment and user. Of all else on
`sys.path` when measuring begins, these are installed, too: a folder called `site-packages` or `dist-packages`, an
archive, and in any other folder the files that its distributions list (`pip install --target`). Paths that a subject
adds later are not.
"""

# Paths as Python reports them, and by the thousand.

from __future__ import annotations

import contextlib
import csv
import io
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from archcheck.foundation.regular_files import open_regular

_NAMES = ("site-packages", "dist-packages")
_PYTHONS = ("stdlib", "platstdlib", "purelib", "platlib")
_METADATA = {".dist-info": "RECORD", ".egg-info": "installed-files.txt"}
"""Where a distribution lists its files. Metadata without a list is that of sources: of an editable installation."""

_LARGEST = 1 << 24
"""Bytes of such a list beyond which it is none: those of the largest distributions have a few million."""


def packages_of_python() -> tuple[str, ...]:
    """Return the folders where this interpreter, its environment and this user have their packages."""
    return (*site.getsitepackages(), site.getusersitepackages())


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution without importing it, `None` where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def own_version() -> str:
    """Return the version of archcheck, `0+source` when it runs from a source tree that is not installed."""
    return version_of("archcheck-torch") or "0+source"


@dataclass(frozen=True)
class Installed:
    """Where installed code lies, with `search` as `sys.path`."""

    search: tuple[str, ...]

    @classmethod
    def now(cls) -> Installed:
        """Return what is installed as `sys.path` is now."""
        return cls(tuple(sys.path))

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """Folders that hold nothing but what is installed, whatever lies above or in them: Python's own."""
        return _distinct((*map(sysconfig.get_path, _PYTHONS), *packages_of_python()))

    @cached_property
    def named(self) -> tuple[str, ...]:
        """Other folders and archives on `sys.path` that hold what is installed, unless they are the project."""
        return _distinct(each for each in self._others() if os.path.isfile(each) or _is_named(each))

    @cached_property
    def recorded(self) -> dict[str, str]:
        """Packages and modules that distributions elsewhere on `sys.path` have installed; each with its folder."""
        folders = (each for each in self._others() if each not in self.named)
        return {found: folder for folder in folders for found in _installed_in(folder)}

    def folders(self) -> tuple[str, ...]:
        """Return the folders, and what distributions recorded; archives are files of their own."""
        whole = (each for each in (*self.fixed, *self.named) if not os.path.isfile(each))
        return (*whole, *self.recorded)

    def _others(self) -> Iterator[str]:
        for each in dict.fromkeys(map(os.path.abspath, filter(None, self.search))):
            if not any(is_below(spelling, folder) for folder in self.fixed for spelling in spellings_of(each)):
                yield each


def _is_named(folder: str) -> bool:
    return any(os.path.basename(each) in _NAMES for each in spellings_of(folder))


def _distinct(folders: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.abspath(each) for each in folders if each))


def spellings_of(path: str) -> tuple[str, ...]:
    """Return the absolute path of a file, and the one that it leads to."""
    return tuple(dict.fromkeys((path, os.path.realpath(path))))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is that of a folder or of anything in it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def _installed_in(folder: str) -> Iterator[str]:
    """Yield what the distributions in a folder list as installed there: the folders and files at its top."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            listing = _METADATA.get(os.path.splitext(name)[1])
            if listing:
                yield from (os.path.join(folder, top) for top in sorted(_tops(os.path.join(folder, name, listing))))


def _tops(listing: str) -> set[str]:
    """Return the first parts of the paths in the list of a distribution's files; none if there is no such list.

    A path that leads out of the folder, or that no file can have, is left out.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error), open_regular(listing) as file:
        text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            return set()
        above = "../" if listing.endswith(".txt") else ""  # that list is relative to the metadata
        names = (row[0] for row in csv.reader(io.StringIO(text.decode(), newline="")) if row)
        paths = (os.path.normpath(name.removeprefix(above)) for name in names if "\0" not in name)
        tops = {path.partition(os.sep)[0] for path in paths if not os.path.isabs(path)}
        return tops - {os.pardir, os.curdir, "bin", "__pycache__"}
    return set()
