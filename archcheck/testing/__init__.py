"""The pytest plugin, and helpers for hand-written tests and for authors of rules.

It imports `judging` and everything below only when a name is used, because pytest imports this package at every start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archcheck.testing.verification import (
        Example,
        check_file,
        examples,
        facts_of,
        judge_example,
        rule_of,
        verify_examples,
    )

__all__ = [
    "Example",
    "check_file",
    "examples",
    "facts_of",
    "judge_example",
    "rule_of",
    "verify_examples",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("archcheck.testing.verification"), name)
