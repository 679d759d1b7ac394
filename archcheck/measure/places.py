"""Places in the subject's files: relative to the project, of a class, of the line that now runs."""

from __future__ import annotations

import inspect
import os
import sys
from functools import cache, lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from archcheck.where import Where


def relative(where: Where | None, root: str) -> Where | None:
    """Return `where` with its file relative to `root`, if it lies below it."""
    if where is None:
        return None
    return Where(file=relative_file(where.file, root), line=where.line)


@cache
def relative_file(file: str, root: str) -> str:
    """Return `file` relative to `root` if it lies below it, else unchanged."""
    prefix = os.path.join(os.path.realpath(root), "")  # noqa: PTH118 - a trailing separator is the point
    real = os.path.realpath(file)
    return Path(real[len(prefix) :]).as_posix() if real.startswith(prefix) else file


def class_where(cls: Any) -> Where | None:
    """Return the line of the class statement; none for torch's own classes, which nobody can mend."""
    return _class_where(cls)


@lru_cache(maxsize=1024)
def _class_where(cls: Any) -> Where | None:
    try:
        file = inspect.getsourcefile(cls)
        if file is None or not is_subject(file):
            return None
        return Where(file=file, line=inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):
        return None


_OURS = os.path.join(Path(__file__).parent.parent, "")  # noqa: PTH118 - the trailing separator is the point
_TORCH = os.path.join(Path(torch.__file__).parent, "")  # noqa: PTH118


@cache
def is_subject(file: str) -> bool:
    """Whether a file is neither torch's nor ours."""
    return not file.startswith((_OURS, _TORCH, "<"))


def caller_place() -> Where | None:
    """Return the line of the subject's code that called the operation now being dispatched.

    The search ends where our own call of the forward pass begins: beyond it is whoever asked for the measuring.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        if is_subject(frame.f_code.co_filename):
            return Where(file=frame.f_code.co_filename, line=frame.f_lineno)
        frame = frame.f_back
    return None
