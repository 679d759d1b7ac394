"""Operations whose result's size, or whose Python value, depends on data that a trace of shapes does not have.

Each returns a stated bound: the largest possible size (one if loops over the result would take too long), or zero or
false as a value. The trace names every bound that it used.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.shape_rules import Rule, broadcast, first_tensor, like, new, register

BOUNDS: dict[str, Rule] = {}
bound = partial(register, BOUNDS)


@bound("item", "_local_scalar_dense")
def _item(call: Call) -> bool | int | float:
    dtype = call["self"].dtype
    if dtype == torch.bool:
        return False
    return 0.0 if dtype.is_floating_point else 0


@bound("is_nonzero", "equal", "allclose")
def _false(call: Call) -> bool:
    return False


@bound("nonzero", "argwhere")
def _nonzero(call: Call) -> torch.Tensor:
    tensor = call["self"]
    return new((tensor.numel(), tensor.dim()), tensor, torch.long)


@bound("nonzero_numpy")
def _nonzero_numpy(call: Call) -> list[torch.Tensor]:
    tensor = call["self"]
    return [new((tensor.numel(),), tensor, torch.long) for _ in range(max(1, tensor.dim()))]


@bound("masked_select")
def _masked_select(call: Call) -> torch.Tensor:
    shape = broadcast(call["self"].shape, call["mask"].shape)
    return new((torch.Size(shape).numel(),), call["self"])


@bound("_unique2", "unique_consecutive", "unique_dim")
def _unique(call: Call) -> tuple[torch.Tensor, ...]:
    tensor = call["self"]
    # One value, not `numel`: code that loops over the unique values would otherwise loop over every element.
    return (
        new((min(1, tensor.numel()),), tensor),
        new(tensor.shape, tensor, torch.long),
        new((1,), tensor, torch.long),
    )


@bound("bincount")
def _bincount(call: Call) -> torch.Tensor:
    return new((max(1, call["minlength"]),), call["self"], torch.long)


@bound("torchvision::nms")
def _nms(call: Call) -> torch.Tensor:
    return new((call["dets"].shape[0],), call["dets"], torch.long)


@bound("repeat_interleave")
def _repeat_interleave(call: Call) -> Any:
    if isinstance(call.get("repeats"), torch.Tensor):
        return like(first_tensor(call))
    return NotImplemented


@bound("where")
def _where(call: Call) -> Any:
    return _nonzero_numpy({"self": call["condition"]}) if "other" not in call else NotImplemented


@bound("index")
def _index(call: Call) -> Any:
    """Return as many elements as a mask has; with integers, the size is known."""
    indices = call["indices"]
    if not any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices):
        return NotImplemented
    flat: list[torch.Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            flat += [new((index.numel(),), index, torch.long)] * index.dim()
        else:
            flat.append(index)
    return torch.ops.aten.index.Tensor(call["self"], flat)


def bounded(name: str, call: Call) -> Any:
    """Return the bounded result of one call, or `NotImplemented` if its size does not depend on data."""
    function = BOUNDS.get(name)
    return NotImplemented if function is None else function(call)
