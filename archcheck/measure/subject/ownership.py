"""Tell who owns a file: the subject, an installed package, Python or archcheck.

The deepest folder decides. A project in a folder called `site-packages` belongs to the subject, and a virtual
environment in a project is installed. Files that the subject itself writes among installed ones, or code that it names
like one, belong to the subject.
"""

# Paths are strings as Python reports them, and there may be thousands of them.

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from archcheck.foundation.installed_packages import Installed, is_below, spellings_of

_OURS = os.path.join(Path(__file__).resolve().parents[2], "")
_INSTALLED = Installed.now()
"""What was installed before any code of a subject ran."""
_PUTS = {"os.rename": 1, "os.link": 1, "os.symlink": 1, "os.mkdir": 0, "os.truncate": 0}
"""Audit events that put a file at a path -> the argument with the path."""
_NAMED = frozenset({"compile", "code.__new__"})
"""Audit events that make code with a file name."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
"""The flags that open a file for writing."""


class _Own:
    """What is known so far: the owners of files, the subject's folders, and the installed files that it wrote."""

    def __init__(self) -> None:
        self.known: dict[str, bool] = {}
        self.claimed: set[str] = set()
        self.put: set[str] = set()
        self.watching = False
        self.began = time.time_ns()


_own = _Own()


def is_own(file: str) -> bool:
    """Whether a file is the subject's: neither Python's, nor installed, nor archcheck's."""
    known = _own.known.get(file)
    if known is None:
        known = _own.known[file] = file in _own.put if file.startswith("<") else _is_own(file)
    return known


def claim(*folders: str | Path) -> None:
    """Count folders as the subject's, with everything in them that is not in a deeper installed folder."""
    new = {os.path.realpath(folder) for folder in folders} - _own.claimed
    if new:
        _own.claimed |= new
        _own.known.clear()


def claim_module(name: str) -> None:
    """Count the folder on `sys.path` with a module as the subject's, unless it is a folder for packages."""
    top = name.partition(".")[0]
    for folder in dict.fromkeys(_INSTALLED.recorded.values()):
        if os.path.isdir(os.path.join(folder, top)) or os.path.isfile(os.path.join(folder, f"{top}.py")):
            claim(folder)
            return


def watch_installed() -> None:
    """Record from now on which files the subject puts among installed ones. The audit hook cannot be removed."""
    if not _own.watching:
        _own.watching = True
        sys.addaudithook(_on_event)


def by_subject(frame: FrameType | None) -> bool:
    """Whether the subject's code runs, or calls the code that runs, other than by importing an installed package."""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_own(file):
            return True
        if file.startswith("<frozen importlib"):
            return False
        frame = frame.f_back
    return False


def writer(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame whose code has a file. Code without a file belongs to the code that runs it.

    The frozen modules of Python count as files.
    """
    while frame is not None and (name := frame.f_code.co_filename).startswith("<") and not name.startswith("<frozen "):
        frame = frame.f_back
    return frame


def _is_own(file: str) -> bool:
    spellings = dict.fromkeys((os.path.realpath(file), os.path.abspath(file)))
    if any(each.startswith(_OURS) for each in spellings):
        return False
    if any(map(_is_put, spellings)):
        return True
    for path in spellings:  # a link in a folder for packages may lead to the project, or elsewhere
        claimed = max((len(each) for each in _own.claimed if is_below(path, each)), default=-1)
        installed = max((depth for place, depth in _PLACES if is_below(path, place)), default=-1)
        if max(claimed, installed) >= 0:
            return claimed > installed
    return True


def _places() -> Iterator[tuple[str, float]]:
    """Yield the places of installed code, each with the depth of its folder.

    A folder that the subject claims, too, is the subject's, except for Python's own folders.
    """
    for folder in _INSTALLED.fixed:
        yield from ((each, len(each) + 0.5) for each in spellings_of(folder))
    for folder in _INSTALLED.named:
        yield from ((each, len(each) - 0.5) for each in spellings_of(folder))
    for top, folder in _INSTALLED.recorded.items():
        for each in spellings_of(folder):
            yield os.path.join(each, os.path.basename(top)), len(each) - 0.5


_PLACES = tuple(_places())


def _is_put(path: str) -> bool:
    """Whether the subject put a file at a path, by the audit events or by the times of the file.

    Linking a file into another installation changes its time, too, but not its content. A time in the future comes from
    another clock.
    """
    if _own.put and any(is_below(path, each) for each in _own.put):
        return True
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    is_new = _own.began < found.st_ctime_ns <= time.time_ns()
    return is_new and (found.st_nlink == 1 or found.st_mtime_ns > _own.began)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITES and _is_installed(path) and by_subject(sys._getframe(1)):
            _put(path)
    elif event in _PUTS:
        path = arguments[_PUTS[event]]
        if _is_installed(path) and by_subject(sys._getframe(1)):
            _put(path)
    elif event in _NAMED and _is_installed(arguments[1], frozen=True):
        frame = writer(sys._getframe(1))
        if frame is not None and is_own(frame.f_code.co_filename):
            _put(arguments[1])


def _is_installed(path: object, *, frozen: bool = False) -> bool:
    """Whether a path lies in an installed place, or with `frozen` is the name of a frozen module."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    if frozen and isinstance(path, str) and path.startswith("<frozen "):
        return True
    place = os.path.abspath(os.fsdecode(path))
    return any(is_below(place, each) for each, _ in _PLACES)


def _put(path: str | bytes) -> None:
    place = os.path.abspath(os.fsdecode(path))
    _own.put |= {place, os.path.realpath(place), os.fsdecode(path)}
    _own.known.clear()
