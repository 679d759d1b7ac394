"""Describe the environment of a measurement: the versions of everything except the subject. This imports no package."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archcheck.foundation.installed_packages import Installed, own_version, packages_of_python, version_of

_SOURCES = Path(__file__).parents[1]


def describe_environment() -> Mapping[str, Any]:
    """Return the environment of an answer: Python, platform, torch, archcheck and the installed packages."""
    return {
        "python": [sys.version, sys.executable, os.environ.get("PYTHONPATH")],
        "platform": [sys.platform, sysconfig.get_platform()],
        "torch": version_of("torch"),
        "archcheck": [own_version(), _digest()],
        "installed": sorted(_installed()),
    }


def versions() -> dict[str, str]:
    """Return what two machines must have in common to measure alike, each under its name for people."""
    return {
        "Python": sys.version.partition(" ")[0],
        "torch": version_of("torch") or "no version",
        "archcheck": own_version(),
        "the sources of archcheck": _digest()[:12],
        "the platform": sysconfig.get_platform(),
    }


def packages() -> str:
    """Return a digest of the installed packages with their versions, wherever they lie."""
    names = {Path(item).name for item, _ in _installed()}
    return hashlib.sha256("\0".join(sorted(names)).encode()).hexdigest()


def installed_folders() -> tuple[str, ...]:
    """Return the folders of the environment: Python's, those of installed packages, and archcheck's own."""
    return (*Installed.now().folders(), *_site_folders(), str(_SOURCES))


def _digest() -> str:
    """Return the SHA-256 of archcheck's sources, because an editable install changes without a new version."""
    digest = hashlib.sha256()
    below = os.path.join(_SOURCES, "")  # paths are texts here: each of several hundred `Path` costs as much as its file
    names = (os.path.join(folder, name) for folder, _, files in os.walk(below) for name in files)
    for name in sorted(name.removeprefix(below) for name in names if name.endswith(".py")):
        with open(below + name, "rb", buffering=0) as file:
            content = file.read()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _site_folders() -> tuple[str, ...]:
    """Return the folders that hold only packages."""
    return (*packages_of_python(), *Installed.now().named)


def _installed() -> Iterator[tuple[str, int]]:
    """Yield the metadata of the installed packages. Its name contains the version; its time of change shows when the
    same version was installed again.
    """
    for folder in dict.fromkeys((*_site_folders(), *Installed.now().recorded.values())):
        with contextlib.suppress(OSError):
            for item in Path(folder).iterdir():
                if item.suffix in (".dist-info", ".egg-info", ".egg-link"):
                    yield str(item), item.stat().st_mtime_ns
