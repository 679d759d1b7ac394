"""The report as a page: one file of HTML that needs no network and no script.

The template gets data (`page`), the graph is drawn as SVG by our own coordinates (`plan`, `labels`, `drawing`), the
curves of a training by matplotlib (`evidence`, `curves`). Names and messages are text of strangers: the template
escapes every value, and `one_line` spells out what is no visible character. jinja2 and matplotlib come with the
extra `html` and are imported when a page is asked for, and only then.
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
