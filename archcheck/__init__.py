"""archcheck holds neural networks to their promises: it judges what a `torch.nn.Module` executes.

Importing it imports neither torch nor anything else outside the standard library; names are looked up when
they are used::

    from archcheck import check

    check(model, example=x, rules={"max-params": "20k", "requires": ["dropout"]}).verify()
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from archcheck import rules
    from archcheck.api import check, measure, render
    from archcheck.facts.facts import Facts
    from archcheck.foundation.errors import ArchcheckError, ContractError, SubjectError
    from archcheck.rules.base import Rule
    from archcheck.rules.findings import BrokenContract, Finding, Report, Result, Verdict

    __version__: str

__all__ = [
    "ArchcheckError",
    "BrokenContract",
    "ContractError",
    "Facts",
    "Finding",
    "Report",
    "Result",
    "Rule",
    "SubjectError",
    "Verdict",
    "__version__",
    "check",
    "measure",
    "render",
    "rules",
]

_HOMES = {
    "ArchcheckError": "foundation.errors",
    "BrokenContract": "rules.findings",
    "ContractError": "foundation.errors",
    "Facts": "facts.facts",
    "Finding": "rules.findings",
    "Report": "rules.findings",
    "Result": "rules.findings",
    "Rule": "rules.base",
    "SubjectError": "foundation.errors",
    "Verdict": "rules.findings",
    "check": "api",
    "measure": "api",
    "render": "api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from archcheck.foundation.installed_packages import own_version

        return own_version()
    if name == "rules":
        return import_module("archcheck.rules")
    if name in _HOMES:
        return getattr(import_module(f"archcheck.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Add `%%archcheck` to a notebook: `%load_ext archcheck` calls this."""
    from archcheck.api import check, measure
    from archcheck.integrations.notebook import load

    load(shell, measure, check)


class _Package(ModuleType):
    """Keeps `measure` and `render` functions, which importing the packages of these names would replace."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("measure", "render") or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


class _OldNames:
    """Finds the modules of 0.1.0 that have moved; it is asked last, so nothing is imported for it until then."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith("archcheck."):
            return None
        from archcheck.foundation.old_names import find

        return find(name)


sys.meta_path.append(_OldNames)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
