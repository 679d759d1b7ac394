"""Optimisers without the compiler.

Optimisers ask the compiler to leave them out of its graphs, and import it for that (`torch/optim/optimizer.py`,
`torch/_compile.py`): with what it is made of, such as sympy and triton, a second and 80 MB where nothing is compiled.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"


class _Uncompiled(ModuleType):
    """Answers what optimisers ask of the compiler; whoever asks for anything else gets the compiler itself."""

    def graph_break(self, *_: Any, **__: Any) -> None:
        """There is no graph."""

    def disable(self, function: Any = None, *_: Any, **__: Any) -> Any:
        """Return the function as it is: nothing compiles it."""
        return (lambda given: given) if function is None else function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # asked of all modules by whoever looks through them
            raise AttributeError(name)
        self.leave()
        return getattr(importlib.import_module(_NAME), name)

    def leave(self) -> None:
        """Make room for the compiler."""
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        if vars(torch).get("_dynamo") is self:
            del torch._dynamo


@contextmanager
def uncompiled_optimisers() -> Iterator[None]:
    """Keep optimisers from importing the compiler, unless something else has, or does."""
    if _NAME in sys.modules:
        yield
        return
    instead = _Uncompiled(_NAME)
    sys.modules[_NAME] = torch._dynamo = instead
    try:
        yield
    finally:
        instead.leave()
