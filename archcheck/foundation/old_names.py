"""Modules of 0.1.0 that have moved: each is still imported under its old name, with a `DeprecationWarning`.

The module under the old name is the one under the new name, not a copy: an error that is raised by the one is caught
by the other.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType

MOVED: Mapping[str, str] = MappingProxyType(
    {
        "archcheck.engine": "archcheck.judging.engine",
        "archcheck.errors": "archcheck.foundation.errors",
        "archcheck.findings": "archcheck.rules.findings",
        "archcheck.parts": "archcheck.facts.records",
        "archcheck.pytest_plugin": "archcheck.testing.pytest_plugin",
        "archcheck.rule": "archcheck.rules.base",
        "archcheck.selectors": "archcheck.facts.selectors",
    }
)
"""Old name -> new name, of what a test, a rule of one's own or an option of pytest may have named."""

_PUBLIC = "what is public is in `archcheck`, `archcheck.rules` and `archcheck.testing`"


class _Loader(Loader):
    """Puts the module of the new name in the place of the one that importing the old name has made."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let Python make an empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and have the import give the module of the new name."""
        new = MOVED[module.__name__]
        message = f"`{module.__name__}` has moved to `{new}`; {_PUBLIC}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)  # the machinery of imports does not count as a level
        sys.modules[module.__name__] = import_module(new)


def find(name: str) -> ModuleSpec | None:
    """Return how to import a module that has moved, `None` for every other name."""
    return ModuleSpec(name, _Loader()) if name in MOVED else None


def warn_of_name(old: str, new: str) -> None:
    """Warn whoever imports a name from where it was in 0.1.0."""
    warnings.warn(f"`{old}` has moved to `{new}`; {_PUBLIC}", DeprecationWarning, stacklevel=3)
