"""Records which files a measurement read: a cached answer depends on them.

Python tells an audit hook of every file that it opens, folder that it lists and module that it looks for. It is not
told what compiled code opens by itself, nor of a look at whether a file exists.
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

_UNSEEN = frozenset(
    {
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"),
        *("socket.connect", "socket.getaddrinfo", "sqlite3.connect"),
    }
)
"""What happens from here on cannot be followed: another process, another machine, a file opened by compiled code."""
_SPAWNS = frozenset({"multiprocessing.popen_forkserver", "multiprocessing.popen_spawn_posix"})
"""Modules that Python imports to start a process without an event that says so."""
_KERNEL = ("/dev/", "/proc/", "/sys/")


class Reads:
    """The files and folders that this process reads from now on, apart from those within the folders `besides`.

    A folder that holds the project is watched, even if it is one of them, and so is what lies in its root. There is no
    end to this: a hook cannot be taken off, so it is for a process that measures one subject. `moved` is the folder
    that this process works in, the one that it reads as, and the one that is removed with all that was made there
    (see `workplace`).
    """

    def __init__(self, root: str, besides: Iterable[str], *, moved: tuple[str, str, str] | None = None) -> None:
        self._moved = moved
        inside = os.path.join(root, "")
        apart = (folder for folder in besides if os.path.dirname(folder) != os.path.abspath(root))
        folders = {os.path.join(each, "") for folder in apart for each in (folder, os.path.realpath(folder))}
        self._besides = (*_KERNEL, *(folder for folder in folders if not inside.startswith(folder)))
        self._read: dict[str, int | None] = {}
        self._made: set[str] = set()
        self._sought: dict[str, tuple[str, ...]] = {}
        self._complete = True
        sys.addaudithook(self._hear)

    def known(self) -> dict[str, int | None] | None:
        """Return for each path when it last changed, in nanoseconds, as it was first read; `None` if it was not there.

        There is no answer when the subject did something that cannot be followed.
        """
        for loaded in list(sys.modules.values()):
            with contextlib.suppress(Exception):  # the subject may have put anything there
                if isinstance(file := loaded.__dict__.get("__file__"), str):
                    self._note(file)
        for name, folders in list(self._sought.items()):
            for package, module in _candidates(name, folders):
                if self._note(package) or self._note(module):
                    break
        return dict(self._read) if self._complete else None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _UNSEEN:
            self._complete = False
        elif event in ("open", "import", "os.listdir", "os.scandir"):
            try:
                self._note_event(event, arguments)
            except Exception:  # an error here would become one of whoever opens the file
                self._complete = False

    def _note_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            self._complete = self._complete and arguments[0] not in _SPAWNS
            self._sought.setdefault(arguments[0], tuple(arguments[2] or ()))
        elif isinstance(arguments[0], int):  # a descriptor, whose file was seen when it was opened
            return
        elif event == "open":
            self._opened(os.fsdecode(arguments[0]), arguments[2])
        elif not _by_import_system():
            self._note(os.fsdecode(arguments[0] or "."))

    def _opened(self, path: str, flags: int) -> None:
        """Note a file that is read; what the subject wrote itself is nothing that it depends on."""
        path = os.path.abspath(path)
        if flags & (os.O_TRUNC | os.O_EXCL) and path not in self._read:
            self._made.add(path)
        elif flags & os.O_ACCMODE != os.O_WRONLY and path not in self._made:
            self._note(path)

    def _note(self, path: str) -> bool:
        """Note a path the first time it is read; return whether it is a file or folder that counts."""
        path = self._real(_source(os.path.abspath(path)))
        if not path or path.startswith(self._besides):
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
        """Return what a path stands for outside of the folder that is removed; nothing for what is only there."""
        if self._moved is None or not path.startswith(f"{self._moved[2]}/"):
            return path
        inside, here, place = self._moved
        real = os.path.realpath(path)
        if not real.startswith(f"{os.path.realpath(place)}/"):
            return real
        below = path.removeprefix(inside)
        return f"{here}{below}" if below != path and (not below or below.startswith("/")) else ""


def _source(path: str) -> str:
    """Return the source that a compiled file stands for; Python reads that alone where it is up to date."""
    with contextlib.suppress(ValueError):
        return source_from_cache(path) if path.endswith(".pyc") else path
    return path


def _candidates(module: str, search: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield where an import looks for a module, in order: a file that is not there yet may be found tomorrow."""
    package, _, name = module.rpartition(".")
    for folder in _folders_of(package, search) if package else search:
        yield os.path.join(folder, name, "__init__.py"), os.path.join(folder, f"{name}.py")


def _folders_of(package: str, search: Iterable[str]) -> list[str]:
    """Return where the modules of a package are looked for; where it could not be imported, where it may come to be.

    The path of a namespace is found again whenever it is asked for, which takes the package around it.
    """
    with contextlib.suppress(Exception):  # the subject may have put anything there
        return [each for each in sys.modules[package].__path__ if isinstance(each, str)]
    around, _, name = package.rpartition(".")
    return [os.path.join(folder, name) for folder in (_folders_of(around, search) if around else search)]


def _by_import_system() -> bool:
    """Whether the folder is listed to find a module or a distribution, which its files tell better."""
    file = sys._getframe(3).f_code.co_filename
    return file.startswith("<frozen importlib") or "/importlib/" in file
