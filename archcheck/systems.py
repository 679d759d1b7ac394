"""What the operating system at hand can do: whether anything can be measured on it, and whether a process can fork."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from archcheck.errors import ArchcheckError


def can_fork() -> bool:
    """Whether a child may be forked here; the system libraries of macOS do not bear it.

    The variable is for whoever wants to see on Linux what happens elsewhere.
    """
    return sys.platform == "linux" and not os.environ.get("ARCHCHECK_NO_FORK")


def refuse_if_unable() -> None:
    """Raise `ArchcheckError` where no worker can be started and bounded: on systems that are not like Unix."""
    needed = ("fcntl", "resource")  # modules that Python has on such systems alone
    if sys.platform in ("win32", "emscripten", "wasi") or not all(map(_has, needed)):
        raise ArchcheckError("archcheck measures on Linux and macOS; use WSL or a container")


def _has(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True
