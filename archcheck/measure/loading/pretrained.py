"""Build a model that asks for pretrained weights without downloading them, because a report is about architecture."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

_NAME = "load_state_dict_from_url"


class _Absent(dict[str, Any]):
    """A state that was not downloaded. A model that loads it keeps its own values."""


@contextmanager
def without_downloads() -> Iterator[list[str]]:
    """Make torch's hub skip weights that it would download, and yield a list to which their names are added.

    Weights that were downloaded before are loaded.
    """
    absent: list[str] = []
    original, load = torch.hub.load_state_dict_from_url, torch.nn.Module.load_state_dict

    def from_url(url: str, model_dir: str | None = None, *args: Any, **kwargs: Any) -> Any:
        file = kwargs.get("file_name") or Path(urlparse(url).path).name
        if Path(model_dir or os.path.join(torch.hub.get_dir(), "checkpoints"), file).is_file():  # noqa: PTH118
            return original(url, model_dir, *args, **kwargs)
        absent.append(file)
        return _Absent()

    def load_state(self: torch.nn.Module, state: Any, *args: Any, **kwargs: Any) -> Any:
        return None if isinstance(state, _Absent) else load(self, state, *args, **kwargs)

    holders = [each for each in list(sys.modules.values()) if getattr(each, "__dict__", {}).get(_NAME) is original]
    for holder in holders:
        setattr(holder, _NAME, from_url)
    torch.nn.Module.load_state_dict = load_state  # type: ignore[method-assign,assignment]
    try:
        yield absent
    finally:
        torch.nn.Module.load_state_dict = load  # type: ignore[method-assign]
        for holder in holders:
            setattr(holder, _NAME, original)
