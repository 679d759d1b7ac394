"""Places in the subject's files: relative to the project, of a class, of the line that now runs."""

from __future__ import annotations

import inspect
import os
import sys
from functools import cache
from pathlib import Path
from types import FrameType

import torch

from archcheck.facts import Where


def relative(where: Where | None, root: str) -> Where | None:
    """Return `where` with its file relative to `root`, if it lies below it."""
    if where is None:
        return None
    return Where(file=relative_file(where.file, root), line=where.line)


def relative_file(file: str, root: str) -> str:
    """Return `file` relative to `root` if it lies below it, else unchanged."""
    prefix = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - a trailing separator is the point
    real = os.path.realpath(file)
    return Path(real[len(prefix) :]).as_posix() if real.startswith(prefix) else file


def class_where(cls: type) -> Where | None:
    """Return the line of the class statement."""
    try:
        file = inspect.getsourcefile(cls)
        return None if file is None else Where(file=file, line=inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):
        return None


_OWN = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


@cache
def is_subject(file: str) -> bool:
    """Whether a file is neither torch's nor ours."""
    return not file.startswith(_OWN) and not file.startswith("<")


def caller_place() -> Where | None:
    """Return the line of the subject's code that called the operation now being dispatched."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_subject(frame.f_code.co_filename):
            return Where(file=frame.f_code.co_filename, line=frame.f_lineno)
        frame = frame.f_back
    return None
