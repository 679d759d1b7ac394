"""Use optimisers without importing torch's compiler.

Optimisers import the compiler to keep themselves out of its graphs (`torch/optim/optimizer.py`, `torch/_compile.py`).
With its dependencies, such as sympy and triton, this takes a second and 80 MB, even if nothing is compiled.
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
    """Replaces the compiler for optimisers. An access to any other attribute imports the compiler itself."""

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Do nothing, because there is no graph."""

    def disable(self, function: Any = None, *_: Any, **__: Any) -> Any:
        """Return the function unchanged, because nothing compiles it."""
        return (lambda given: given) if function is None else function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # code that inspects all modules reads these
            raise AttributeError(name)
        self.remove()
        return getattr(importlib.import_module(_NAME), name)

    def remove(self) -> None:
        """Remove this module, so that the compiler can be imported."""
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        if vars(torch).get("_dynamo") is self:
            del torch._dynamo


@contextmanager
def uncompiled_optimisers() -> Iterator[None]:
    """Keep optimisers from importing the compiler, unless it is imported already or other code needs it."""
    if _NAME in sys.modules:
        yield
        return
    instead = _Uncompiled(_NAME)
    sys.modules[_NAME] = torch._dynamo = instead
    try:
        yield
    finally:
        instead.remove()
