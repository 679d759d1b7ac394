"""Build a model that asks for pretrained weights without downloading them, because a report is about architecture."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlparse

import torch
from torch.nn.modules.module import _IncompatibleKeys

REPLACED = "pretrained weights were not downloaded, random ones replace them"
_STATES = ("load_state_dict_from_url", "load_url")
"""The names of torch's function that loads weights from an address."""
_WEIGHTS = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".th", ".pkl", ".safetensors")
_VISION = "pytorch/vision"
"""The repository of torchvision, which may be installed."""


class NotDownloaded(KeyError):  # noqa: N818 - the state of a machine
    """Code needs what was not downloaded, more than the architecture."""

    def __str__(self) -> str:
        return str(self.args[0])


class _Absent(dict[str, Any]):
    """A state that was not downloaded. A model that loads it keeps its own values."""

    file = "the weights"

    def __missing__(self, key: str) -> Any:
        if not isinstance(key, str) or "." in key:
            raise NotDownloaded(f"`{key}` of {self.file}, which was not downloaded; let the model be built without it")
        return self._part()

    def get(self, key: str, default: Any = None) -> Any:
        return self._part() if default is None else default

    def pop(self, key: str, *default: Any) -> Any:
        return default[0] if default else self._part()

    def __delitem__(self, key: str) -> None:
        """Do nothing."""

    def copy(self) -> _Absent:
        return self._part()

    def _part(self) -> _Absent:
        part = _Absent()
        part.file = self.file
        return part


class Downloads:
    """What was asked for and not downloaded: the names of weights, and notes on models that stand for others."""

    def __init__(self) -> None:
        self._weights: dict[str, None] = {}
        self._models: dict[str, None] = {}
        self._files: set[str] = set()

    @property
    def notes(self) -> list[str]:
        """The report's notes."""
        away = [f"{REPLACED}: {file}" for file in self._weights]
        return [*away, *self._models]

    def state(self, file: str) -> _Absent:
        """Return the state that stands for a file of weights."""
        self._weights[file] = None
        absent = _Absent()
        absent.file = file
        return absent

    def leave(self, url: str, place: str) -> None:
        """Remember the place of weights that were not downloaded."""
        self._weights[_file_of(url)] = None
        self._files.add(os.path.realpath(place))

    def is_left(self, file: Any) -> bool:
        """Whether a file was to be downloaded, and is not there."""
        if not isinstance(file, str | os.PathLike) or Path(file).exists():
            return False
        return os.path.realpath(file) in self._files

    def replace(self, model: str) -> None:
        """Remember a model of torchvision that stands for one of its repository."""
        said = f"`{_VISION}` was not downloaded: `{model}` is that of the installed torchvision, with random weights"
        self._models[said] = None

    def __bool__(self) -> bool:
        return bool(self._weights)


@contextmanager
def without_downloads() -> Iterator[Downloads]:
    """Make torch's hub and urllib skip weights that they would download, and yield what was skipped.

    Weights that were downloaded before are loaded.
    """
    left = Downloads()
    hub = torch.hub
    replaced: list[tuple[Callable[..., Any], tuple[str, ...], Callable[..., Any]]] = [
        (hub.load_state_dict_from_url, _STATES, _loading_states(left)),
        (hub.download_url_to_file, ("download_url_to_file",), _keeping_files(left, hub.download_url_to_file)),
        (urllib.request.urlretrieve, ("urlretrieve",), _keeping_files(left, urllib.request.urlretrieve)),
        (torch.load, ("load",), _loading_files(left)),
    ]
    with ExitStack() as changes:
        for original, names, new in replaced:
            for holder in list(sys.modules.values()):
                for name in names:
                    if getattr(holder, "__dict__", {}).get(name) is original:
                        changes.enter_context(patch.object(holder, name, new))
        changes.enter_context(patch.object(hub, "load", _loading_models(left)))
        changes.enter_context(patch.object(torch.nn.Module, "load_state_dict", _loading_into_models(left)))
        yield left


def _file_of(url: str) -> str:
    return Path(urlparse(url).path).name


def _loading_states(left: Downloads) -> Callable[..., Any]:
    original = torch.hub.load_state_dict_from_url

    def from_url(url: str, model_dir: str | None = None, *args: Any, **kwargs: Any) -> Any:
        file = kwargs.get("file_name") or _file_of(url)
        if Path(model_dir or Path(torch.hub.get_dir(), "checkpoints"), file).is_file():
            return original(url, model_dir, *args, **kwargs)
        return left.state(file)

    return from_url


def _keeping_files(left: Downloads, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that leaves weights where they are, and downloads anything else as `original` does."""

    def to_file(url: Any, place: Any = None, *args: Any, **kwargs: Any) -> Any:
        place = place or kwargs.get("dst") or kwargs.get("filename")
        if not isinstance(url, str) or not place or not _file_of(url).endswith(_WEIGHTS):
            return original(url, place, *args, **kwargs)
        left.leave(url, os.fspath(place))
        return place, None

    return to_file


def _loading_files(left: Downloads) -> Callable[..., Any]:
    original = torch.load

    def load(f: Any, *args: Any, **kwargs: Any) -> Any:
        return left.state(Path(f).name) if left.is_left(f) else original(f, *args, **kwargs)

    return load


def _loading_models(left: Downloads) -> Callable[..., Any]:
    """Return a function that loads a model as torch's hub does if its repository was downloaded before."""
    original: Callable[..., Any] = torch.hub.load

    def load(repo: str, model: str, *args: Any, **kwargs: Any) -> Any:
        name = str(repo).partition(":")[0]
        known = Path(torch.hub.get_dir()).glob(f"{name.replace('/', '_')}_*")
        if kwargs.get("source", "github") != "github" or any(known):
            return original(repo, model, *args, **kwargs)
        if name == _VISION and find_spec("torchvision"):
            models = import_module("torchvision.models")
            if model in models.list_models():
                left.replace(model)
                return models.get_model(model, weights=None, **_about_structure(kwargs))
        raise NotDownloaded(
            f"`{model}` of `{repo}`, which torch.hub has not downloaded; run that line once where there is a network, "
            "or build the model without it"
        )

    return load


def _about_structure(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    others = ("pretrained", "weights", "progress", "source", "trust_repo", "force_reload", "verbose", "skip_validation")
    return {name: value for name, value in kwargs.items() if name not in others}


def _loading_into_models(left: Downloads) -> Callable[..., Any]:
    original = torch.nn.Module.load_state_dict

    def load_state_dict(self: torch.nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(state_dict, _Absent) or (left and not state_dict):  # all that was made of an absent state
            return _IncompatibleKeys([], [])
        return original(self, state_dict, *args, **kwargs)

    return load_state_dict
