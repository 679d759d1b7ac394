"""What is at hand: whether anything can be measured on this system, with these packages, and whether it can fork."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec

from archcheck.foundation.errors import ArchcheckError


def can_fork() -> bool:
    """Whether a child may be forked here; the system libraries of macOS do not bear it.

    The variable is for whoever wants to see on Linux what happens elsewhere.
    """
    return sys.platform == "linux" and not os.environ.get("ARCHCHECK_NO_FORK")


PACKAGES = frozenset({"torch", "fvcore", "hypothesis", "rich", "jinja2", "matplotlib", "markupsafe", "safetensors"})
"""What archcheck itself imports: the installation lacks it, not the subject's, where it is missing."""


def not_installed(*packages: str) -> str:
    """Return what to do about packages that are missing, by the Python that runs."""
    names = " ".join(packages)
    return f"{names} not installed for `{sys.executable}`; run `{sys.executable} -m pip install {names}`"


def refuse_if_unable() -> None:
    """Raise `ArchcheckError` where no worker can be started and bounded, or what it takes is not installed.

    A worker needs a system like Unix.
    """
    needed = ("fcntl", "resource")  # modules that Python has on such systems alone
    if sys.platform in ("win32", "emscripten", "wasi") or not all(map(_has, needed)):
        raise ArchcheckError("archcheck measures on Linux and macOS; use WSL or a container")
    missing = [name for name in ("torch", "rich") if not _is_there(name)]
    if missing:
        raise ArchcheckError(not_installed(*missing))


@cache
def _is_there(package: str) -> bool:
    """Whether a package can be imported, asking the folders first: other finders may take it for an import."""
    if package in sys.modules:
        return sys.modules[package] is not None
    return PathFinder.find_spec(package) is not None or find_spec(package) is not None


def _has(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True
