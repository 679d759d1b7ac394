"""Watches a forward pass for the record of calls: by hooks, and by functions that stand in for torch's meanwhile.

Counters that replace functions see a call only where the code looks the function up: `F.relu(x)` and not `x.relu()`.
So the functions are replaced here for one pass, too, and put back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch

from archcheck.facts.calls import Call
from archcheck.measure.passes.forward import Passes
from archcheck.measure.peers.outlines import outline
from archcheck.measure.shapes.dispatch_mode import Dispatch
from archcheck.measure.subject.module_tree import Node

F = torch.nn.functional
_FUNCTIONS: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
    (
        F,
        "F",
        (
            "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
            "relu", "prelu", "elu", "leaky_relu", "relu6", "silu", "gelu",
            "batch_norm", "layer_norm", "instance_norm", "group_norm",
            "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
            "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
            "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
            "upsample", "interpolate", "softmax", "embedding", "scaled_dot_product_attention",
        ),
    ),
    (torch, "torch", ("matmul", "mm", "bmm", "addmm", "baddbmm", "mul", "add", "einsum")),
    (torch.Tensor, "Tensor", ("matmul", "__matmul__", "mm", "bmm", "addmm", "mul", "add")),
)  # fmt: skip
"""Where counters replace functions, what that is called here, and which functions."""


@contextmanager
def hooked(node: Node, stack: list[str], calls: list[Call]) -> Iterator[None]:
    """Note the calls of a module, and which one runs."""

    def enter(_: torch.nn.Module, args: Any) -> None:
        stack.append(node.path)

    def leave(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        stack.pop()
        inputs, keywords = tuple(map(outline, args)), {name: outline(value) for name, value in kwargs.items()}
        calls.append(Call(layer=node.path, function="", inputs=inputs, keywords=keywords, output=outline(output)))

    handles = (
        node.module.register_forward_pre_hook(enter),
        node.module.register_forward_hook(leave, with_kwargs=True),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def followed(passes: Passes, stack: list[str]) -> Iterator[None]:
    """Note which layer runs, by hooks that no layer carries."""

    def enter(module: torch.nn.Module, args: Any) -> None:
        path = passes.tree.path_of(module)
        stack.append(stack[-1] if path is None else path)

    def leave(module: torch.nn.Module, args: Any, output: Any) -> None:
        stack.pop()

    handles = (
        torch.nn.modules.module.register_module_forward_pre_hook(enter),
        torch.nn.modules.module.register_module_forward_hook(leave),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def closed() -> Iterator[list[None]]:
    """Give a list that is not empty while a function runs into which torch's tracer does not look."""
    inside: list[None] = []

    def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            inside.append(None)
            try:
                return function(*args, **kwargs)
            finally:
                inside.pop()

        return run

    scripted, own = torch.jit.ScriptFunction, torch.autograd.Function
    call, apply = scripted.__call__, own.__dict__["apply"]
    scripted.__call__ = hidden(call)  # type: ignore[method-assign]
    own.apply = classmethod(lambda cls, *args, **kwargs: hidden(apply.__get__(None, cls))(*args, **kwargs))
    try:
        yield inside
    finally:
        scripted.__call__ = call  # type: ignore[method-assign]
        own.apply = apply


@contextmanager
def replaced(calls: list[Call], stack: list[str], *, by_shapes: bool) -> Iterator[None]:
    """Note the calls of functions that counters replace.

    What computes shapes in place of numbers (`by_shapes`) calls them, too: once more each, and to work out an operator.
    Neither is noted.
    """
    kept: list[tuple[Any, str, Any]] = []
    running: list[object] | None = [] if by_shapes else None
    try:
        for owner, place, names in _FUNCTIONS:
            for name in names:
                if (function := getattr(owner, name, None)) is not None:
                    kept.append((owner, name, vars(owner).get(name)))
                    setattr(
                        owner, name, _noting(function, f"{place}.{name}", calls, stack, running if by_shapes else None)
                    )
        with nullcontext() if running is None else _Inside(running):
            yield
    finally:
        for owner, name, before in reversed(kept):
            if before is None:  # inherited: `torch.Tensor` has most of its methods from its base
                delattr(owner, name)
            else:
                setattr(owner, name, before)


_INSIDE = object()


class _Inside(Dispatch):  # type: ignore[no-untyped-call]
    """Marks that an operator is worked out."""

    def __init__(self, running: list[object]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._running = running

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        self._running.append(_INSIDE)
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._running.pop()


def _noting(
    function: Callable[..., Any],
    name: str,
    calls: list[Call],
    stack: list[str],
    running: list[object] | None,
) -> Callable[..., Any]:
    def note(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs, keywords = tuple(map(outline, args)), {key: outline(value) for key, value in kwargs.items()}
        calls.append(Call(layer=stack[-1], function=name, inputs=inputs, keywords=keywords))

    @wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        if running is None:
            note(args, kwargs)
            return function(*args, **kwargs)
        call = name, tuple(map(id, (*args, *kwargs.values())))
        if call not in running and _INSIDE not in running:
            note(args, kwargs)
        running.append(call)
        try:
            return function(*args, **kwargs)
        finally:
            running.pop()

    return noting
