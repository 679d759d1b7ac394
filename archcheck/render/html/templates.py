"""Fill the templates. The only module that imports jinja2."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from archcheck.render.html.curves import draw_curves
from archcheck.render.html.evidence import Evidence, described
from archcheck.render.html.page import Page
from archcheck.render.wording import one_line
from archcheck.rules.queries.outcome_text import percents


def fill(page: Page) -> str:
    """Return the page as HTML. Every value is escaped and on one line."""
    return _environment().get_template("page.html.jinja").render(page=page)


@cache
def _environment() -> Environment:
    """Return the environment of the templates, which compiles them once."""
    environment = Environment(
        loader=PackageLoader("archcheck.render", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(curves=_curves, described=described, percents=percents)
    return environment


def _visible(value: object) -> object:
    """Write out control and invisible characters in a text. Markup of the templates stays as it is."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _curves(evidence: Evidence, name: str) -> Markup:
    return Markup(draw_curves(evidence, name))  # numbers alone: no text of a report comes into it
