"""The facts that were measured of a subject, as frozen data with a JSON form, and the committed snapshot of them.

It imports only `foundation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if not TYPE_CHECKING:  # what is misspelt stays a mistake to type checkers

    def __getattr__(name: str) -> Any:
        """Give `Facts`, which this was the module of in 0.1.0."""
        if name != "Facts":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from archcheck.facts.facts import Facts
        from archcheck.foundation.old_names import warn_of_name

        warn_of_name("archcheck.facts.Facts", "archcheck.Facts")
        return Facts
