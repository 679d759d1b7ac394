"""Record which files a measurement reads, because a cached answer depends on them.

Python reports to an audit hook each file that it opens, each folder that it lists and each module that it looks for.
It reports neither the files that compiled code opens nor tests of whether a file exists.
"""

# Paths are the strings that Python reports, and there may be thousands of them.

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib.util import source_from_cache
from typing import Any

from archcheck.measure.subject.import_guard import CONNECTS, STARTS

_UNSEEN = STARTS | CONNECTS | {"sqlite3.connect"}
"""Events after which reads are not seen: another process, another machine, or compiled code opens the files."""
_SPAWNS = frozenset({"multiprocessing.popen_forkserver", "multiprocessing.popen_spawn_posix"})
"""Modules that Python imports to start a process without reporting an event."""
_KERNEL = ("/dev/", "/proc/", "/sys/")


class ReadFiles:
    """The files and folders that this process reads from now on, except those in the folders `ignored`.

    An ignored folder is watched if it contains the project or lies directly in the project's root. An audit hook cannot
    be removed, so this is for a process that measures one subject. `moved` holds the working folder of the process, the
    folder that it stands in for, and the scratch folder that is removed afterwards (see `scratch_folder`).
    """

    def __init__(self, root: str, ignored: Iterable[str], *, moved: tuple[str, str, str] | None = None) -> None:
        self._moved = moved
        inside = os.path.join(root, "")
        apart = (folder for folder in ignored if os.path.dirname(folder) != os.path.abspath(root))
        folders = {os.path.join(each, "") for folder in apart for each in (folder, os.path.realpath(folder))}
        self._ignored = (*_KERNEL, *(folder for folder in folders if not inside.startswith(folder)))
        self._read: dict[str, int | None] = {}
        self._written: set[str] = set()
        self._searched: dict[str, tuple[str, ...]] = {}
        self._complete = True
        sys.addaudithook(self._on_event)

    def known(self) -> dict[str, int | None] | None:
        """Return each path with the time of its last change in nanoseconds when it was first read, `None` if missing.

        Return `None` in place of the paths if the subject did something after which reads are not seen.
        """
        for loaded in list(sys.modules.values()):
            with contextlib.suppress(Exception):  # the subject may have put anything there
                if isinstance(file := loaded.__dict__.get("__file__"), str):
                    self._note(file)
        for name, folders in list(self._searched.items()):
            for package, module in _candidates(name, folders):
                if self._note(package) or self._note(module):
                    break
        return dict(self._read) if self._complete else None

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _UNSEEN:
            self._complete = False
        elif event in ("open", "import", "os.listdir", "os.scandir"):
            try:
                self._note_event(event, arguments)
            except Exception:  # an error here would reach the code that opens the file
                self._complete = False

    def _note_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            self._complete = self._complete and arguments[0] not in _SPAWNS
            self._searched.setdefault(arguments[0], tuple(arguments[2] or ()))
        elif isinstance(arguments[0], int):  # a descriptor: its file was noted when it was opened
            return
        elif event == "open":
            self._opened(os.fsdecode(arguments[0]), arguments[2])
        elif not _by_import_system():
            self._note(os.fsdecode(arguments[0] or "."))

    def _opened(self, path: str, flags: int) -> None:
        """Note a file that is opened for reading. A file that the subject wrote itself is not an input."""
        path = os.path.abspath(path)
        if flags & (os.O_TRUNC | os.O_EXCL) and path not in self._read:
            self._written.add(path)
        elif flags & os.O_ACCMODE != os.O_WRONLY and path not in self._written:
            self._note(path)

    def _note(self, path: str) -> bool:
        """Note a path when it is first read. Return whether it is a file or folder that is not ignored."""
        path = self._real(_source(os.path.abspath(path)))
        if not path or path.startswith(self._ignored):
            return False
        if path not in self._read:
            try:
                found = os.stat(path)
            except (OSError, ValueError):
                self._read[path] = None
            else:
                if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                    self._read[path] = found.st_ctime_ns
        return self._read.get(path) is not None

    def _real(self, path: str) -> str:
        """Return the path outside of the scratch folder; an empty one for a file that exists only in that folder."""
        if self._moved is None or not path.startswith(f"{self._moved[2]}/"):
            return path
        inside, here, place = self._moved
        real = os.path.realpath(path)
        if not real.startswith(f"{os.path.realpath(place)}/"):
            return real
        below = path.removeprefix(inside)
        return f"{here}{below}" if below != path and (not below or below.startswith("/")) else ""


def _source(path: str) -> str:
    """Return the source of a compiled file. Python reads only the compiled file if it is up to date."""
    with contextlib.suppress(ValueError):
        return source_from_cache(path) if path.endswith(".pyc") else path
    return path


def _candidates(module: str, search: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the paths where an import looks for a module, in order. A file that is missing now may exist later."""
    package, _, name = module.rpartition(".")
    for folder in _folders_of(package, search) if package else search:
        yield os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py")


def _folders_of(package: str, search: Iterable[str]) -> list[str]:
    """Return the folders of a package's modules; if it could not be imported, those where it may appear.

    Python computes the path of a namespace package at each access, from its parent package.
    """
    with contextlib.suppress(Exception):  # the subject may have put anything there
        return [each for each in sys.modules[package].__path__ if isinstance(each, str)]
    around, _, name = package.rpartition(".")
    return [os.path.join(folder, name) for folder in (_folders_of(around, search) if around else search)]


def _by_import_system() -> bool:
    """Whether the import system lists the folder to find a module or distribution, whose files are noted anyway."""
    file = sys._getframe(3).f_code.co_filename
    return file.startswith("<frozen importlib") or "/importlib/" in file
