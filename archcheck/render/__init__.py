"""Render reports as text: for people, for tools, for a pull request. Pure functions; nothing here prints.

rich is imported only for the format `text`, jinja2 and matplotlib only for `html`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.words import did_you_mean, quote
from archcheck.render.concise import render_concise
from archcheck.render.cyclonedx import render_cyclonedx
from archcheck.render.github import render_github
from archcheck.render.json import render_json
from archcheck.render.markdown import render_markdown
from archcheck.render.options import Options
from archcheck.render.sarif import render_sarif
from archcheck.rules.findings import Report

__all__ = ["FORMATS", "Options", "demand_libraries", "render"]


def _render_text(reports: Sequence[Report], options: Options) -> str:
    from archcheck.render.text import render_text

    return render_text(reports, options)


def _render_html(reports: Sequence[Report], options: Options) -> str:
    from archcheck.render.html import render_html

    return render_html(reports, options)


FORMATS: Mapping[str, Callable[[Sequence[Report], Options], str]] = MappingProxyType(
    {
        "text": _render_text,
        "concise": render_concise,
        "json": render_json,
        "markdown": render_markdown,
        "github": render_github,
        "sarif": render_sarif,
        "cyclonedx": render_cyclonedx,
        "html": _render_html,
    }
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
