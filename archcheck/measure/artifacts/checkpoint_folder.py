"""Open a checkpoint folder: a configuration of a network, with or without files of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from archcheck.foundation.model_configurations import configuration_file
from archcheck.measure.artifacts.checkpoint_tensors import compare, tensors_beside
from archcheck.measure.loading.configurations import built, configuration
from archcheck.measure.loading.load import loading_checkpoint


def checkpoint_file(target: str, root: str) -> Path | None:
    """Return the configuration that a target names by its folder or file, `None` for another target."""
    try:
        return configuration_file(Path(root, target))
    except (OSError, ValueError):  # no name that a file can have
        return None


def open_checkpoint(
    target: str, file: Path, root: str, args: Mapping[str, Any], *, careful: bool
) -> tuple[torch.nn.Module, tuple[str, ...], int | None]:
    """Return the network of a configuration on the meta device, notes, and the bytes of its files of tensors.

    The names and shapes of these tensors are compared with the network's. No tensor is read.

    Raises:
        SubjectError: the configuration or a tensor is wrong. The message says what is wrong and what to do.
    """
    is_folder = Path(root, target).is_dir()
    with loading_checkpoint(target, root, careful=careful) as own_code:
        found = configuration(file, target, own_code)
        model, notes = built(found, args)
    model.eval()
    shown = Path(target) if is_folder else Path(target).parent
    stored = tensors_beside(file.parent, shown)
    compared: tuple[str, ...] = ()
    if stored:
        changed = f"the tensors of {stored.shown} were not compared, because arguments change the configuration"
        compared = (changed,) if args else compare(stored, model, found)
    return model, (*notes, *compared), stored.bytes if stored else None
