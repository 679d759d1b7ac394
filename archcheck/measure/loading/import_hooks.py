"""Change modules of installed packages as soon as they are imported, until the end of a block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Change = Callable[[ModuleType], Iterator[tuple[Any, str, Any]]]
"""Yields what to change in a module: the owner, the name of its attribute, and the new value."""


class _Changes:
    """A finder that applies changes to modules after they have run."""

    def __init__(self, changes: Mapping[str, Change]) -> None:
        self._changes = changes
        self._before: list[tuple[Any, str, Any]] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module to change, `None` for any other module."""
        spec = PathFinder.find_spec(name, path, target) if name in self._changes else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_change(module: ModuleType) -> None:
            run(module)
            self.apply(name, module)

        spec.loader.exec_module = run_and_change  # type: ignore[method-assign]
        return spec

    def apply(self, name: str, module: ModuleType) -> None:
        """Change a module that has run."""
        for owner, attribute, value in self._changes[name](module):
            self._before.append((owner, attribute, vars(owner)[attribute]))
            setattr(owner, attribute, value)

    def undo(self) -> None:
        """Restore all modules."""
        while self._before:
            setattr(*self._before.pop())


@contextmanager
def changed_modules(changes: Mapping[str, Change]) -> Iterator[None]:
    """Change modules by name, those that are imported already and those that are imported in the block."""
    finder = _Changes(changes)
    for name in changes:
        if (module := sys.modules.get(name)) is not None:
            finder.apply(name, module)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        finder.undo()
