"""Layers that do nothing for any output, in evaluation or in training."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

import torch

from archcheck.measure.events import Event, Trace
from archcheck.measure.places import class_where
from archcheck.measure.tree import Node, Tree
from archcheck.where import Where

_HOLDERS = (
    torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.ParameterList, torch.nn.ParameterDict,
)  # fmt: skip
"""Containers: an empty one stands for no layer, as in blocks whose shortcut is sometimes nothing."""


def unused_layers(tree: Tree, traces: Sequence[Trace]) -> tuple[str, ...]:
    """Return the layers that are never called, or whose results reach no output; of a branch, the outermost.

    A layer counts as used, too, when an operation on the way to an output reads its parameters or buffers (the
    `out_proj` of an attention is never called), when it is called and executes nothing (`Identity`), when it holds
    one that is used, and when another method of its class runs. What lies within TorchScript cannot be told apart.
    """
    reached, ran, called = _reached(traces), _ran(traces), {path for trace in traces for path in trace.visits}
    passing = called - ran  # they hand on what they get
    lines = {id(event.where): event.where for trace in traces for event in _live(trace) if event.where is not None}
    idle: list[str] = []
    for node in tree.nodes:
        path = node.path
        if path in reached or path in passing or any(_below(path, outer) for outer in idle[-1:]):
            continue
        if path in called or not (
            _holds(path, passing) or _is_exempt(node, tree) or _is_run_by_name(node, lines.values())
        ):
            idle.append(path)
    return tuple(idle)


def _reached(traces: Sequence[Trace]) -> set[str]:
    """Return the layers around operations that reach an output, and around the parameters that these read."""
    paths: set[str] = set()
    for trace in traces:
        for layer, params in {(event.layer, event.params) for event in _live(trace)}:
            _add_lineage(layer, paths)
            for name in params:
                _add_lineage(name.rpartition(".")[0], paths)
    return paths | {""}


def _ran(traces: Sequence[Trace]) -> set[str]:
    paths: set[str] = set()
    for trace in traces:
        for layer in {event.layer for event in trace.events}:
            _add_lineage(layer, paths)
    return paths


def _live(trace: Trace) -> Iterator[Event]:
    live = trace.live
    return (event for event in trace.events if live[event.index])


def _add_lineage(path: str, paths: set[str]) -> None:
    while path and path not in paths:
        paths.add(path)
        path = path.rpartition(".")[0]


def _below(path: str, outer: str) -> bool:
    return path.startswith(f"{outer}.")


def _holds(path: str, passing: set[str]) -> bool:
    return any(_below(inner, path) for inner in passing)


def _is_exempt(node: Node, tree: Tree) -> bool:
    """Whether a layer is an empty container, or lies within TorchScript, which calls no hooks."""
    if isinstance(node.module, _HOLDERS):
        return not node.parameters and not any(_below(other.path, node.path) for other in tree.nodes)
    if not isinstance(node.module, torch.jit.ScriptModule):
        return False
    parent = node.path.rpartition(".")[0]
    return any(other.path == parent and isinstance(other.module, torch.jit.ScriptModule) for other in tree.nodes)


def _is_run_by_name(node: Node, lines: Iterable[Where]) -> bool:
    """Whether a method of the layer's class runs though the layer is not called: `self.grid.points(x)`."""
    spans = [span for cls in type(node.module).__mro__ if (span := _span(cls)) is not None]
    return any(where.file == start.file and start.line <= where.line <= end for where in lines for start, end in spans)


@cache
def _span(cls: type) -> tuple[Where, int] | None:
    start = class_where(cls)
    return None if start is None else (start, start.line + len(inspect.getsourcelines(cls)[0]) - 1)
