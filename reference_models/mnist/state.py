"""All that a run needs to go on, as one safetensors file: tensors by prefix, the rest in its note."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, optim

from reference_models.mnist.checkpoint import packed, unpacked
from reference_models.mnist.errors import RunError
from reference_models.mnist.loop import Training


def state_of(training: Training, identity: Mapping[str, Any]) -> bytes:
    """Return the content of the file for a run that is `identity`, as it stands between two epochs."""
    note = {
        "identity": identity,
        "rows": training.rows,
        "groups": training.optimizer.state_dict()["param_groups"],
        "schedule": training.schedule.state_dict(),
    }
    return packed(dict(_tensors(training)), json.dumps(note))


def restore(training: Training, path: Path, check: Callable[[Mapping[str, Any]], None]) -> None:
    """Put `training` where the file at `path` left off, once `check` has accepted its identity.

    Raises `RunError` when the file is damaged or not one of these, and whatever `check` raises.
    """
    tensors, text = unpacked(path)
    try:
        note = json.loads(text)
        identity, rows, groups, schedule = (note[key] for key in ("identity", "rows", "groups", "schedule"))
    except (ValueError, KeyError):
        raise RunError(f"`{path}` was not written by this trainer; delete it or pass another `--output`") from None
    check(identity)
    training.model.load_state_dict(_under("model.", tensors))
    state = _optimizer_state(training.optimizer, _under("optimizer.", tensors))
    training.optimizer.load_state_dict({"state": state, "param_groups": groups})
    training.schedule.load_state_dict(schedule)
    if "losses" in tensors:
        training.losses.copy_(tensors["losses"])
    training.rows[:] = rows


def _tensors(training: Training) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in training.model.state_dict().items():
        yield f"model.{name}", tensor
    if training.recipe.hardest is not None:
        yield "losses", training.losses
    for index, state in training.optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            yield f"optimizer.{index}.{name}", tensor


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer_state(optimizer: optim.Optimizer, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Return the state by parameter index, each tensor in its parameter's memory layout, as it was.

    Tensors of a file lie at any address, and products of matrices round differently at another alignment: all are
    copied to memory of their own.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", maxsplit=1)
        parameter = parameters[int(index)]
        layout = parameter if tensor.shape == parameter.shape else tensor
        state.setdefault(int(index), {})[key] = torch.empty_like(layout).copy_(tensor)
    return state
