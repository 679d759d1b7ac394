"""Import moved modules of 0.1.0 under their old names, with a `DeprecationWarning`.

The module under the old name is the one under the new name, not a copy, so that `except` catches the same classes.
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
"""Old name -> new name, for modules that tests, users' rules or pytest options may name."""

_PUBLIC = "what is public is in `archcheck`, `archcheck.rules` and `archcheck.testing`"


class _Loader(Loader):
    """Replaces the empty module of the old name by the module of the new name."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let Python create an empty module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and make the import return the module of the new name."""
        new = MOVED[module.__name__]
        message = f"`{module.__name__}` has moved to `{new}`; {_PUBLIC}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)  # frames of the import system do not count
        sys.modules[module.__name__] = import_module(new)


def find(name: str) -> ModuleSpec | None:
    """Return the spec of a moved module, `None` for every other name."""
    return ModuleSpec(name, _Loader()) if name in MOVED else None


def warn_of_name(old: str, new: str) -> None:
    """Warn the code that imports a name from its place in 0.1.0."""
    warnings.warn(f"`{old}` has moved to `{new}`; {_PUBLIC}", DeprecationWarning, stacklevel=3)
