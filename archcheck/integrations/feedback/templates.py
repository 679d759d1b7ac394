"""Fill the templates of feedback."""

from __future__ import annotations

from typing import Any

from archcheck.integrations.feedback.words import done_text, place_text, points_of, state_of
from archcheck.integrations.file_names import file_name
from archcheck.render.html.environment import environment, markup, with_code


def fill(template: str, *, style: str, **values: Any) -> str:
    """Return a page in ASCII, so that no encoding can damage it. Every value is escaped and on one line."""
    found = environment("archcheck.integrations", "feedback")
    found.globals.update(done=done_text, points=points_of, state=state_of, place=place_text, file_name=file_name)
    found.filters.update(with_code=with_code)
    text = found.get_template(template).render(style=markup(style), **values)
    return text.encode("ascii", "xmlcharrefreplace").decode() + "\n"
