"""Badge data: a JSON file for each figure of a subject, as shields.io reads it from an endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from archcheck.facts.facts import Facts
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import quote
from archcheck.rules.queries.figures import accuracy_text, figure_text

COLOR = "blue"
"""A figure is no verdict: it is neither green nor red."""


def badges(measured: Mapping[str, Facts], folder: Path) -> dict[Path, str | None]:
    """Return the content of each badge file by its path, or `None` for a figure that was not measured.

    Raises `ArchcheckError` when two subjects would share a file.
    """
    found: dict[Path, str | None] = {}
    for name, facts in measured.items():
        for label, message in _figures(facts):
            file = folder / f"{_slug(name)}-{_slug(label)}.json"
            if file in found:
                raise ArchcheckError(f"two subjects have badges called {quote(file.name)}; give one another name")
            found[file] = None if message is None else _badge(label, message)
    return found


def message_of(content: str) -> str:
    """Return the message in a badge file, or `something else` for any other content."""
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "something else"


def _figures(facts: Facts) -> Iterator[tuple[str, str | None]]:
    yield "parameters", figure_text("params.total", facts)
    yield "multiply-accumulates", figure_text("cost.macs", facts)
    yield "activation memory", figure_text("cost.peak_activation_bytes", facts) + " bytes"
    yield "test accuracy", accuracy_text(facts)


def _badge(label: str, message: str) -> str:
    return json.dumps({"schemaVersion": 1, "label": label, "message": message, "color": COLOR}, indent=2) + "\n"


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "subject"
