"""Tell installed packages from the code of the subject, for the guard, the loader, the tracer and the cache.

Python itself is installed, and so are the package folders of this interpreter, environment and user. On the rest of
`sys.path`, these are installed, too: a folder called `site-packages` or `dist-packages`, an archive, and in any other
folder the files that its distributions list (`pip install --target`). Paths that a subject adds later are not.
"""

# Paths are strings as Python reports them, and there may be thousands of them.

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
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
"""Where a distribution lists its files. An editable installation has metadata without such a list."""

_LARGEST = 1 << 24
"""Bytes of such a list at most: the lists of the largest distributions have a few million."""


def packages_of_python() -> tuple[str, ...]:
    """Return the folders where this interpreter, its environment and this user have their packages."""
    return (*site.getsitepackages(), site.getusersitepackages())


def version_of(distribution: str) -> str | None:
    """Return the version of a distribution without importing it, `None` if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def own_version() -> str:
    """Return the version of archcheck, `0+source` when it runs from a source tree that is not installed."""
    return version_of("archcheck-torch") or "0+source"


def origin() -> str | None:
    """Return `OWNER/REPO@COMMIT` if archcheck was installed from a repository on GitHub, as its installer recorded."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        recorded = json.loads(distribution("archcheck-torch").read_text("direct_url.json") or "{}")
        address, commit = str(recorded.get("url")), str(recorded["vcs_info"]["commit_id"])
    except (PackageNotFoundError, KeyError, TypeError, ValueError):
        return None
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    return f"{found[1]}@{commit}" if found else None


@dataclass(frozen=True)
class Installed:
    """The places of installed code, for the `sys.path` in `search`."""

    search: tuple[str, ...]

    @classmethod
    def now(cls) -> Installed:
        """Return the places for the current `sys.path`."""
        return cls(tuple(sys.path))

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """Python's own folders. Everything in them is installed, even if they lie in a project."""
        return _distinct((*map(sysconfig.get_path, _PYTHONS), *packages_of_python()))

    @cached_property
    def named(self) -> tuple[str, ...]:
        """Other folders and archives on `sys.path` that hold installed code, unless they are the project."""
        return _distinct(each for each in self._others() if os.path.isfile(each) or _is_named(each))

    @cached_property
    def recorded(self) -> dict[str, str]:
        """Packages and modules that distributions have installed elsewhere on `sys.path`, each with its folder."""
        folders = (each for each in self._others() if each not in self.named)
        return {found: folder for folder in folders for found in _installed_in(folder)}

    def folders(self) -> tuple[str, ...]:
        """Return the folders, and the paths that distributions recorded, but no archives."""
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
    """Return a path, and the path after all links are followed if it differs."""
    return tuple(dict.fromkeys((path, os.path.realpath(path))))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def _installed_in(folder: str) -> Iterator[str]:
    """Yield the top-level folders and files that the distributions in a folder list as installed there."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            listing = _METADATA.get(os.path.splitext(name)[1])
            if listing:
                yield from (os.path.join(folder, top) for top in sorted(_tops(os.path.join(folder, name, listing))))


def _tops(listing: str) -> set[str]:
    """Return the first parts of the paths in a distribution's list of files; none if there is no such list.

    Paths that lead out of the folder and paths that no file can have are left out.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error), open_regular(listing) as file:
        text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            return set()
        above = "../" if listing.endswith(".txt") else ""  # paths in it are relative to the metadata
        names = (row[0] for row in csv.reader(io.StringIO(text.decode(), newline="")) if row)
        paths = (os.path.normpath(name.removeprefix(above)) for name in names if "\0" not in name)
        tops = {path.partition(os.sep)[0] for path in paths if not os.path.isabs(path)}
        return tops - {os.pardir, os.curdir, "bin", "__pycache__"}
    return set()
