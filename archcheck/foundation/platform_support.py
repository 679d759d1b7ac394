"""Find out whether this system can measure, which packages are missing, and whether it can fork."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec

from archcheck.foundation.errors import ArchcheckError


def can_fork() -> bool:
    """Whether a child can be forked. The system libraries of macOS do not allow it.

    Tests set the environment variable to switch forking off on Linux.
    """
    return sys.platform == "linux" and not os.environ.get("ARCHCHECK_NO_FORK")


PACKAGES = frozenset({"torch", "fvcore", "hypothesis", "rich", "jinja2", "matplotlib", "markupsafe", "safetensors"})
"""The packages that archcheck itself imports. If one is missing, the installation is incomplete, not the subject."""


def not_installed(*packages: str) -> str:
    """Return how to install missing packages for the Python that runs."""
    names = " ".join(packages)
    return f"{names} not installed for `{sys.executable}`; run `{sys.executable} -m pip install {names}`"


def demand_extra(package: str, extra: str, what: str) -> None:
    """Raise `ArchcheckError`, in one line, if the package of an extra is missing. `what` needs it."""
    if not _is_importable(package):
        install = f"{sys.executable} -m pip install 'archcheck-torch[{extra}]'"
        raise ArchcheckError(f"{what} needs {package}, which is not installed; run `{install}`")


def refuse_if_unable() -> None:
    """Raise `ArchcheckError` if no worker can be started and limited here, or if a package is missing.

    A worker needs a system like Unix.
    """
    needed = ("fcntl", "resource")  # modules that only Python on such systems has
    if sys.platform in ("win32", "emscripten", "wasi") or not all(map(_is_importable, needed)):
        raise ArchcheckError("archcheck measures on Linux and macOS; use WSL or a container")
    missing = [name for name in ("torch", "rich") if not _is_importable(name)]
    if missing:
        raise ArchcheckError(not_installed(*missing))


@cache
def _is_importable(module: str) -> bool:
    """Whether a module can be imported. The folders are asked first, because other finders may treat the question as
    an import.
    """
    if module in sys.modules:
        return sys.modules[module] is not None
    return PathFinder.find_spec(module) is not None or find_spec(module) is not None
