"""The saved state of a model as evidence keeps it: its tensors, without what `get_extra_state` adds besides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch


def tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of the state by name, in its order: the parameters themselves, not detached ones.

    Torch's own function returns them, even if the subject overrides `state_dict`.
    """
    state = torch.nn.Module.state_dict(model, keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of the names and shapes of these tensors, in their order."""
    named = [[name, list(tensor.shape)] for name, tensor in tensors(model).items()]
    return hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).hexdigest()


def fill(model: torch.nn.Module, read: Mapping[str, torch.Tensor]) -> None:
    """Load tensors that were saved; what else the state holds stays as it is. Raises what torch raises."""
    state = torch.nn.Module.state_dict(model)
    others = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    torch.nn.Module.load_state_dict(model, {**others, **read})
