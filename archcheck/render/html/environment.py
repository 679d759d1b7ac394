"""The environment of templates, which escapes every value. The only module that imports jinja2."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from archcheck.render.wording import one_line


@cache
def environment(package: str, folder: str) -> Environment:
    """Return the environment of the templates in a folder of a package, which compiles them once."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def markup(text: str) -> Markup:
    """Return text that is markup already, and holds nothing of strangers."""
    return Markup(text)


def with_code(text: str) -> Markup:
    """Return text as markup in which the words between backticks are code."""
    parts = [_visible(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick without its fellow is a character like others
        return escape(_visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def _visible(value: object) -> object:
    """Write out control and invisible characters in a text. Markup of the templates stays as it is."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
