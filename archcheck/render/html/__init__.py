"""Render reports as an HTML page: one file that needs no network and no script.

The template gets data (`page`). The graph is drawn as SVG with our own coordinates (`plan`, `labels`, `drawing`), and
the training curves with matplotlib (`evidence`, `curves`). Names and messages are untrusted text: the template escapes
every value, and `one_line` writes out invisible characters. jinja2 and matplotlib come with the extra `html` and are
imported only for a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from archcheck.foundation.errors import ArchcheckError
from archcheck.render.options import Options
from archcheck.rules.findings import Report

NEEDED = ("jinja2", "matplotlib")


def demand_libraries() -> None:
    """Raise `ArchcheckError`, in one line, unless all that a page takes is installed."""
    missing = [name for name in NEEDED if not _is_there(name)]
    if missing:
        raise ArchcheckError(
            f"the format `html` needs {' and '.join(missing)}; install with `pip install 'archcheck-torch[html]'`"
        )


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # imported, but by no finder
        return False


def render_html(reports: Sequence[Report], options: Options) -> str:
    """Return one HTML document in ASCII, so that no encoding can damage it.

    Raises `ArchcheckError` when jinja2 or matplotlib is not installed.
    """
    demand_libraries()
    from archcheck.render.html.page import page_of
    from archcheck.render.html.templates import fill

    return fill(page_of(reports, options)).encode("ascii", "xmlcharrefreplace").decode() + "\n"
