"""Render reports as text: for people, for tools, for a pull request. Pure functions; nothing here prints.

rich is imported only for the format `text` where it lays out more than verdicts on lines of any length, jinja2 and
matplotlib only for `html`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, quote
from archcheck.render.options import Options
from archcheck.rules.findings import Report

__all__ = ["FORMATS", "Options", "demand_libraries", "render"]


Writer = Callable[[Sequence[Report], Options], str]


def _imported_late(name: str) -> Writer:
    """Return the function that writes a format. Its module is imported only when it writes: most runs need one."""

    def write(reports: Sequence[Report], options: Options) -> str:
        writer: Writer = getattr(import_module(f"archcheck.render.{name}"), f"render_{name}")
        return writer(reports, options)

    return write


def _text(reports: Sequence[Report], options: Options) -> str:
    from archcheck.render.unwrapped_text import unwrapped_text

    text = unwrapped_text(reports, options)
    return _imported_late("text")(reports, options) if text is None else text


FORMATS: Mapping[str, Writer] = MappingProxyType(
    {"text": _text}
    | {name: _imported_late(name) for name in ("concise", "json", "markdown", "github", "sarif", "cyclonedx", "html")}
)
"""Name of a format -> the function that writes it."""


def demand_libraries(format_name: str) -> None:
    """Raise `ArchcheckError`, in one line, if a library that the format needs is missing."""
    if format_name == "html":
        from archcheck.render.html import demand_libraries as demand

        demand()


def render(reports: Sequence[Report], format_name: str = "text", **options: Any) -> str:
    """Return `reports` in a format, ending in a newline unless there is nothing to say.

    `options` are the fields of `Options`. Raises `ArchcheckError` when there is no such format.
    """
    if format_name not in FORMATS:
        hint = did_you_mean(format_name, FORMATS, f"the formats are {', '.join(FORMATS)}")
        raise ArchcheckError(f"{quote(format_name)} is not a format{hint}")
    return FORMATS[format_name](reports, Options(**options))
