"""Which layer runs now, and on which line of the subject: kept at every call of a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from archcheck.measure.answers import shapes_of
from archcheck.measure.events import Visit
from archcheck.measure.places import is_subject, line_of, place_of
from archcheck.measure.tree import Tree
from archcheck.where import Where


Call = tuple[str, torch.nn.Module, FrameType]
"""The path of the innermost module that the model owns, the module that is called, and who calls it."""


class Layers:
    """The modules that are being called, innermost last; first calls go into `visits`."""

    def __init__(self, tree: Tree, visits: dict[str, Visit]) -> None:
        self._tree = tree
        self._visits = visits
        self._calls: list[Call] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note every call of a module until the end of the block, also when it raises.

        Hooks for all modules would do, too, but they take every call through the slow path of `nn.Module`, which
        costs more than a layer itself does without arithmetic.
        """
        original = torch.nn.Module.__call__
        calls, visits, path_of = self._calls, self._visits, self._tree.path_of

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            path = path_of(module)
            calls.append(((calls[-1][0] if calls else "") if path is None else path, module, sys._getframe(1)))
            try:
                if path is None:
                    return original(module, *args, **kwargs)
                if path in visits:
                    visits[path].calls += 1
                    return original(module, *args, **kwargs)
                visit = visits[path] = Visit(order=len(visits), calls=1, inputs=shapes_of(args))
                output = original(module, *args, **kwargs)
                visit.outputs = shapes_of(output)
                return output
            finally:
                calls.pop()

        torch.nn.Module.__call__ = call  # type: ignore[method-assign]
        try:
            yield
        finally:
            torch.nn.Module.__call__ = original  # type: ignore[method-assign]

    def modules(self) -> Iterator[torch.nn.Module]:
        """Yield the modules that are being called, innermost first."""
        return (module for _, module, _ in reversed(self._calls))

    def now(self, frame: FrameType | None) -> tuple[str, Where | None]:
        """Return the layer that runs an operation, and the line of the subject's code that does, seen from `frame`."""
        if not self._calls:
            return "", place_of(frame)
        path, module, _ = self._calls[-1]
        if not _is_torchs_leaf(module):
            return path, place_of(frame)
        for _, _, caller in reversed(self._calls):
            if is_subject(caller.f_code.co_filename):
                return path, line_of(caller)
        return path, None


def _is_torchs_leaf(module: torch.nn.Module) -> bool:
    """Whether it is a layer of torch without parts, which runs nothing of the subject's: its caller is the place."""
    return not module._modules and type(module).__module__.startswith("torch.nn.modules.")
