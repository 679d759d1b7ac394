"""Places in the subject's files: relative to the project, of a class, and of the running line."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.subject.class_code import first_line
from archcheck.measure.subject.ownership import is_own
from archcheck.measure.subject.source_text import class_in_cell, shown_file


def relative(where: Where | None, root: str) -> Where | None:
    """Return `where` with its file relative to `root`, if it lies below it."""
    if where is None:
        return None
    file = relative_file(where.file, root)
    return where if file is where.file else Where(file=file, line=where.line)


class Places:
    """Makes places relative to a folder. Equal places are the same object."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[int, tuple[Where, Where | None]] = {}

    def of(self, where: Where | None) -> Where | None:
        """Return `where` relative to the folder."""
        if where is None:
            return None
        known = self._known.get(id(where))
        if known is None:
            known = self._known[id(where)] = where, relative(where, self._root)
        return known[1]


@cache
def relative_file(file: str, root: str) -> str:
    """Return `file` relative to `root` if it lies below it, else unchanged."""
    prefix = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - a trailing separator is the point
    real = os.path.realpath(file)
    return Path(real[len(prefix) :]).as_posix() if real.startswith(prefix) else file


def class_where(cls: Any) -> Where | None:
    """Return the line of the class statement, `None` for torch's own classes, which users cannot change."""
    return _class_where(cls)


@lru_cache(maxsize=1024)
def _class_where(cls: Any) -> Where | None:
    try:
        if cell := class_in_cell(cls.__module__, cls.__qualname__):
            return Where(file=cell[0], line=cell[1])
        file = inspect.getsourcefile(cls)
        if file is None or not is_outside_torch(file):
            return None
        return Where(file=file, line=first_line(cls) or inspect.getsourcelines(cls)[1])
    except Exception:  # of a file that was edited since it was imported, parsing raises what it likes
        return None


_OURS = os.path.join(Path(__file__).parents[2], "")  # noqa: PTH118 - the trailing separator is the point
_TORCH = os.path.join(Path(torch.__file__).parent, "")  # noqa: PTH118


@cache
def is_outside_torch(file: str) -> bool:
    """Whether a file is neither torch's nor archcheck's: the subject's, or another package's."""
    return not file.startswith((_OURS, _TORCH, "<")) or file.startswith("<ipython-input-")


def nearest(frames: Iterable[FrameType]) -> FrameType | None:
    """Return the first frame in the subject's files, else the first one in another package."""
    package = None
    for frame in frames:
        file = frame.f_code.co_filename
        if is_outside_torch(file):
            if is_own(file):
                return frame
            package = package or frame
    return package


_ENDS = frozenset(
    os.path.join(_OURS, "measure", *names)  # noqa: PTH118 - compared with the name of a code object
    for names in (("passes", "forward.py"), ("second_look", "replacements.py"))
)
"""The files that call the subject's forward pass. The frames around them belong to the caller of the measurement."""


def place_of(frame: FrameType | None) -> Where | None:
    """Return the innermost line of the subject's code from `frame` outwards, else one of another package."""
    found = nearest(_outwards(frame))
    return line_of(found) if found else None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None and frame.f_code.co_filename not in _ENDS:
        yield frame
        frame = frame.f_back


_lines: dict[tuple[int, int], tuple[CodeType, Where]] = {}


def line_of(frame: FrameType) -> Where:
    """Return the line of a frame, from a table, because torch's dispatch asks for the same lines very often."""
    code, instruction = frame.f_code, frame.f_lasti
    known = _lines.get((id(code), instruction))
    if known is None or known[0] is not code:
        known = _lines[id(code), instruction] = code, Where(file=shown_file(code.co_filename), line=frame.f_lineno)
    return known[1]
