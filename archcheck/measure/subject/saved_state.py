"""The tensors in the state dict of a model, without what `get_extra_state` adds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch


def tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of the state by name, in order, not detached. An overridden `state_dict` is not called."""
    state = torch.nn.Module.state_dict(model, keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of the names and shapes of these tensors, in order."""
    named = [[name, list(tensor.shape)] for name, tensor in tensors(model).items()]
    return hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).hexdigest()


def fill(model: torch.nn.Module, read: Mapping[str, torch.Tensor]) -> None:
    """Load saved tensors; the rest of the state stays unchanged. Raises the errors of `load_state_dict`."""
    state = torch.nn.Module.state_dict(model)
    others = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    torch.nn.Module.load_state_dict(model, {**others, **read})
