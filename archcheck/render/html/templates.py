"""Fill the templates of the page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from archcheck.render.html.curves import draw_curves
from archcheck.render.html.environment import environment, markup
from archcheck.render.html.evidence import Evidence, described
from archcheck.render.html.page import Page
from archcheck.rules.queries.outcome_text import percents


def fill(page: Page) -> str:
    """Return the page as HTML. Every value is escaped and on one line."""
    return _environment().get_template("page.html.jinja").render(page=page)


@cache
def _environment() -> Environment:
    templates = environment("archcheck.render", "html")
    templates.globals.update(curves=_curves, described=described, percents=percents)
    return templates


def _curves(evidence: Evidence, name: str) -> Markup:
    return markup(draw_curves(evidence, name))  # numbers alone: no text of a report comes into it
