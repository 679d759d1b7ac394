"""What surrounds a measurement and has a part in its outcome: the versions of everything but the subject itself.

Nothing is imported to find that out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import archcheck
from archcheck.foundation.installed_packages import Installed, packages_of_python, version_of

_SOURCES = Path(__file__).parents[1]


def surroundings() -> Mapping[str, Any]:
    """Return what an answer depends on besides files: Python, platform, torch, archcheck and what is installed."""
    return {
        "python": [sys.version, sys.executable, os.environ.get("PYTHONPATH")],
        "platform": [sys.platform, platform.machine()],
        "torch": version_of("torch"),
        "archcheck": [archcheck.__version__, _digest()],
        "installed": sorted(_installed()),
    }


def besides() -> tuple[str, ...]:
    """Return the folders that the surroundings cover: those of Python, of what is installed, and archcheck's own."""
    return (*Installed.now().folders(), *_site_folders(), str(_SOURCES))


def _digest() -> str:
    """Return the SHA-256 of archcheck's sources: where they can be edited, they change without a new version."""
    digest = hashlib.sha256()
    for file in sorted(_SOURCES.rglob("*.py")):
        digest.update(f"{file.relative_to(_SOURCES)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _site_folders() -> tuple[str, ...]:
    """Return the folders that hold nothing but packages."""
    return (*packages_of_python(), *Installed.now().named)


def _installed() -> Iterator[tuple[str, int]]:
    """Yield what is installed: the name tells the version, the time whether that version was installed once more."""
    for folder in dict.fromkeys((*_site_folders(), *Installed.now().recorded.values())):
        with contextlib.suppress(OSError):
            for item in Path(folder).iterdir():
                if item.suffix in (".dist-info", ".egg-info", ".egg-link"):
                    yield str(item), item.stat().st_mtime_ns
