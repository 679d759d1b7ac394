"""Tracks which layer runs, and on which line of the subject."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from archcheck.foundation.source_place import Where
from archcheck.measure.operators.operator_results import shapes_of
from archcheck.measure.passes.trace_record import Visit
from archcheck.measure.subject.compiled import beyond_wrappers
from archcheck.measure.subject.module_tree import Tree
from archcheck.measure.subject.source_places import line_of, nearest, place_of

Call = tuple[str, bool, FrameType]
"""The path of a layer, whether it is a layer of torch without children, and the frame that calls it."""

_CALL = "_compiled_call_impl"
_ABSENT = object()


class Layers:
    """The layers of a model that run now, innermost last. All passes of a model share one object."""

    def __init__(self, tree: Tree) -> None:
        self._visits: dict[str, Visit] = {}
        self._calls: list[Call] = []
        self._placing = False
        self._watchers = [
            (node.module.__dict__, node.module.__dict__.get(_CALL, _ABSENT), self._watched(node.path, node.module))
            for node in tree.nodes
        ]

    @contextmanager
    def watching(self, visits: dict[str, Visit], *, placing: bool = False) -> Iterator[None]:
        """Record every call of a layer in `visits` during the block, with `placing` also its line.

        Each module gets the attribute in which torch looks for a compiled form of the module before it calls `forward`.
        Hooks would take every call through the slow path of `nn.Module`, which costs more than a layer without
        arithmetic. Replacing `nn.Module.__call__` would invalidate Python's type caches of all module classes.
        """
        self._visits, self._placing = visits, placing
        for attributes, _, call in self._watchers:
            attributes[_CALL] = call
        try:
            yield
        finally:
            for attributes, before, _ in self._watchers:
                if before is _ABSENT:
                    attributes.pop(_CALL, None)
                else:
                    attributes[_CALL] = before

    def _watched(self, path: str, module: torch.nn.Module) -> Callable[..., Any]:
        calls, leaf = self._calls, _is_torchs_leaf(module)
        run: Callable[..., Any] = module._call_impl

        def call(*args: Any, **kwargs: Any) -> Any:
            calls.append((path, leaf, sys._getframe(2)))  # beyond torch's own frame
            visits = self._visits
            try:
                visit = visits.get(path)
                if visit is not None:
                    visit.calls += 1
                    return run(*args, **kwargs)
                visit = visits[path] = Visit(len(visits), 1, shapes_of(args))
                if self._placing:
                    visit.where = self._caller()
                output = run(*args, **kwargs)
                visit.outputs = shapes_of(output)
                return output
            finally:
                calls.pop()

        return call

    def now(self, frame: FrameType | None) -> tuple[str, Where | None]:
        """Return the layer that runs an operation and the line of the subject's code, seen from `frame`."""
        if not self._calls:
            return "", place_of(frame)
        path, leaf, _ = self._calls[-1]
        if not leaf:
            return path, place_of(frame)
        return path, self._caller()

    def _caller(self) -> Where | None:
        """Return the line of the subject's code that called the layer that runs."""
        found = nearest(beyond_wrappers(caller) for _, _, caller in reversed(self._calls))
        return line_of(found) if found else None


def holder_of(tensor: torch.Tensor, frame: FrameType | None) -> str:
    """Name a tensor of an unregistered module that runs, such as one in a plain list: `Linear.weight`; else `""`."""
    while frame is not None:
        module = frame.f_locals.get("self")
        if isinstance(module, torch.nn.Module):
            own = {**module.__dict__.get("_parameters", {}), **module.__dict__.get("_buffers", {})}
            for name, value in own.items():
                if value is tensor:
                    return f"{type(module).__name__}.{name}"
        frame = frame.f_back
    return ""


def _is_torchs_leaf(module: torch.nn.Module) -> bool:
    """Whether it is a layer of torch without children. It runs no code of the subject, so its caller is the place."""
    return not module._modules and type(module).__module__.startswith("torch.nn.modules.")
