"""Render reports for a notebook and for rich: the text of the command line, as HTML or with its colours."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from archcheck.render.options import Options
from archcheck.render.text import render_text
from archcheck.rules.findings import Report

WIDTH = 110
"""Columns of a table in a notebook: what a page of Jupyter holds without scrolling."""

_FRAGMENT = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace\">{code}</pre>"
)


def as_rich(reports: Sequence[Report], width: int = WIDTH) -> Text:
    """Return reports as text with colours."""
    return Text.from_ansi(render_text(reports, Options(color=True, width=width)).rstrip("\n"))


def as_html(reports: Sequence[Report]) -> str:
    """Return reports as an element of a page. Names and messages are escaped; nothing in it is a script."""
    out = io.StringIO()
    console = Console(record=True, file=out, width=10_000, force_terminal=True, force_jupyter=False)
    console.print(as_rich(reports), soft_wrap=True, end="")
    return console.export_html(inline_styles=True, code_format=_FRAGMENT)
