"""Finds the numbers by which a model counts its calls, and sets them to what they are after very many calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch

from archcheck.measure.loading.example import Example
from archcheck.measure.passes import plain_run
from archcheck.measure.passes.forward import Passes
from archcheck.measure.passes.modes import set_mode
from archcheck.measure.subject.ownership import is_own

CALLS = 10**6
"""How many calls a counter is set ahead by."""
_DEEP = 3
"""Levels of containers that are searched for numbers."""


class Number(NamedTuple):
    """An integer that a model, its class or its file keeps: its name, and how to read and to write it."""

    name: str
    read: Callable[[], int]
    write: Callable[[int], Any]


@contextmanager
def after_many_calls(passes: Passes, example: Example) -> Iterator[str]:
    """Set the numbers that change from call to call to their values after many calls; yield the name of the first.

    The name is empty if there is none. All numbers are restored at the end.
    """
    numbers = list(_numbers(passes))
    before = [number.read() for number in numbers]
    with passes.untouched(values=True):
        try:
            for training in (False, True):
                set_mode(passes.tree, training)
                plain_run.outputs(passes.model, example.in_mode(training))
        except Exception:  # it fails elsewhere, too, and is reported there
            pass
        after = [_safely(number.read) for number in numbers]
        steps = [now - then if now is not None else 0 for now, then in zip(after, before, strict=True)]
        moved = zip(numbers, before, steps, strict=True)
        counting = [(number, then + step * CALLS) for number, then, step in moved if step]
        try:
            for number, value in counting:
                _safely(partial(number.write, value))
            yield counting[0][0].name if counting else ""
        finally:
            for number, then in zip(numbers, before, strict=True):
                _safely(partial(number.write, then))


def _safely(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception:
        return None


def _numbers(passes: Passes) -> Iterator[Number]:
    seen: set[int] = set()
    for node in passes.tree.nodes:
        yield from _within(node.module.__dict__, node.path, seen, _DEEP)
        for name, buffer in node.buffers:
            yield from _in_tensor(buffer, f"{node.path}.{name}".lstrip("."))
        for cls in type(node.module).__mro__:
            yield from _of_class(cls, seen)


def _of_class(cls: type, seen: set[int]) -> Iterator[Number]:
    module = sys.modules.get(cls.__module__)
    if id(cls) in seen or not is_own(str(getattr(module, "__file__", "<"))):
        return
    seen.add(id(cls))
    for name, value in list(vars(cls).items()):
        if type(value) is int:
            yield Number(f"{cls.__name__}.{name}", partial(getattr, cls, name), partial(setattr, cls, name))
        elif isinstance(value, MutableMapping | MutableSequence):
            yield from _within(value, f"{cls.__name__}.{name}", seen, _DEEP)
    yield from _within(vars(module), cls.__module__, seen, _DEEP)


def _within(holder: Any, name: str, seen: set[int], depth: int) -> Iterator[Number]:
    """Yield the numbers in a container, and in the containers in it, up to `depth` levels."""
    if id(holder) in seen or not depth or len(holder) > 10_000:
        return
    seen.add(id(holder))
    items = list(holder.items()) if isinstance(holder, MutableMapping) else list(enumerate(holder))
    for key, value in items:
        called = f"{name}.{key}" if isinstance(key, str) else f"{name}[{key}]"
        if type(value) is int:
            yield Number(called.lstrip("."), partial(holder.__getitem__, key), partial(holder.__setitem__, key))
        elif type(value) in (list, dict):
            yield from _within(value, called, seen, depth - 1)
        elif isinstance(value, torch.Tensor):
            yield from _in_tensor(value, called)


def _in_tensor(tensor: torch.Tensor, name: str) -> Iterator[Number]:
    if tensor.numel() == 1 and not tensor.is_floating_point() and tensor.dtype is not torch.bool and not tensor.is_meta:
        yield Number(name.lstrip("."), lambda: int(tensor), tensor.fill_)
