"""Find the folder of a published network on this machine: one that the user gave, or one in the cache of the hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from archcheck.foundation.model_configurations import CONFIGURATION

_WEIGHTS = (".safetensors", ".bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFolder:
    """A folder of a checkpoint, how users name it, and whether they gave it themselves."""

    path: Path
    shown: str
    given: bool

    @property
    def has_weights(self) -> bool:
        """Whether a file of tensors is in it."""
        return any(each.name.endswith(_WEIGHTS) for each in self.path.iterdir())


def hub_folder(name: str, *beside: Path, revision: str | None = None) -> HubFolder | None:
    """Return the folder of the network `name` that has a configuration, `None` if none is at hand.

    A path is searched from the current folder and from the folders `beside`, then by the last part of the name; after
    that, the cache of the hub is.
    """
    last = name.rstrip("/").rpartition("/")[2]
    for folder in (Path(), *beside):
        for candidate in dict.fromkeys((folder / name, folder / last)):
            if _has_configuration(candidate):
                return HubFolder(path=candidate, shown=os.path.normpath(candidate), given=True)
    cached = _snapshot(_cache() / f"models--{name.replace('/', '--')}", revision or "main")
    return HubFolder(path=cached, shown=f"{name} in the hub's cache", given=False) if cached else None


def _has_configuration(folder: Path) -> bool:
    """Whether a folder has a configuration. It is listed, so that the cache of answers knows about it."""
    try:
        return CONFIGURATION in {each.name for each in folder.iterdir()}
    except (OSError, ValueError):
        return False


def _cache() -> Path:
    """Return where libraries of the hub keep what they downloaded, as their documentation states the order."""
    if folder := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(folder).expanduser()
    home = os.environ.get("HF_HOME")
    user = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or f"{user}/huggingface").expanduser() / "hub"


def _snapshot(folder: Path, revision: str) -> Path | None:
    """Return the downloaded snapshot of a revision, or the only one that there is."""
    try:
        snapshots = {each.name: each for each in (folder / "snapshots").iterdir()}
    except OSError:
        return None
    reference = folder / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    found = snapshots.get(commit) or (next(iter(snapshots.values())) if len(snapshots) == 1 else None)
    return found if found is not None and _has_configuration(found) else None
