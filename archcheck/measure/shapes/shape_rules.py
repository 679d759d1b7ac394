"""The parts of shape rules: their table, meta tensors as results, broadcasting.

A rule gets the arguments by name. It returns `None` for a case that it does not cover; then torch's meta kernel runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from archcheck.measure.shapes.arguments import Call
from archcheck.measure.shapes.tensor import META

Answer = torch.Tensor | tuple[torch.Tensor, ...] | list[torch.Tensor] | None
Rule = Callable[[Call], Any]
RULES: dict[str, Rule] = {}


def register(table: dict[str, Rule], *names: str) -> Callable[[Rule], Rule]:
    """Return a decorator that enters a function in a table under names of torch's operators."""

    def enter(function: Rule) -> Rule:
        table.update(dict.fromkeys(names, function))
        return function

    return enter


rule = partial(register, RULES)


def new(
    shape: Sequence[int],
    like: torch.Tensor,
    dtype: torch.dtype | None = None,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> torch.Tensor:
    """Return a dense meta tensor, contiguous unless `memory_format` says otherwise."""
    return torch.empty(tuple(shape), dtype=dtype or like.dtype, device=META, memory_format=memory_format)


def like(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return a meta tensor of the same shape, and of the same strides if they are dense (channels last)."""
    if tensor.is_contiguous() or not _is_dense(tensor):
        return new(tensor.shape, tensor, dtype)
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype or tensor.dtype, device=META)


def _is_dense(tensor: torch.Tensor) -> bool:
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def layout_of(*tensors: torch.Tensor) -> torch.memory_format:
    """Return channels last if one of `tensors` has its channels last in memory, else the contiguous format."""
    channels_last = _CHANNELS_LAST.get(tensors[0].dim())
    if channels_last is None or not any(_is_channels_last(tensor, channels_last) for tensor in tensors):
        return torch.contiguous_format
    return channels_last


_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def _is_channels_last(tensor: torch.Tensor, channels_last: torch.memory_format) -> bool:
    # With one channel, or strides that fit both formats, torch takes the contiguous one.
    channels = tensor.shape[1]
    return channels > 1 and tensor.stride(-1) == channels and tensor.is_contiguous(memory_format=channels_last)


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """Return the common shape of operands, by the rules of broadcasting."""
    axes = max(map(len, shapes))
    padded = [(1,) * (axes - len(shape)) + tuple(shape) for shape in shapes]
    common = tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*padded, strict=True))
    for shape in padded:
        if any(size not in (1, whole) for size, whole in zip(shape, common, strict=True)):
            names = " and ".join(str(tuple(shape)) for shape in shapes)
            raise RuntimeError(f"the shapes {names} cannot be broadcast together")
    return common


def first_tensor(call: Call) -> torch.Tensor:
    """Return the first tensor argument."""
    return next(value for value in call.values() if isinstance(value, torch.Tensor))


def expect(condition: bool, message: str) -> None:
    """Raise `RuntimeError` with `message` unless `condition` holds: torch refuses these shapes, too."""
    if not condition:
        raise RuntimeError(message)
