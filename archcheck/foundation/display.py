"""How data shows itself to people. The data knows no renderer: the face that hands it out registers one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_RENDERERS: dict[str, Callable[[Any], Any]] = {}


def register(**renderers: Callable[[Any], Any]) -> None:
    """Register functions that show a value: as `text`, as `html`, and `rich` as a renderable of that library."""
    _RENDERERS.update(renderers)


class Displayed:
    """The base of what shows itself as a table: in `print`, in rich, and as the last line of a notebook's cell.

    Its `repr` is one line. Without a renderer, so is everything else.
    """

    __slots__ = ()

    @property
    def headline(self) -> str:
        """The value on one line."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return one line; `str` is the table."""
        return f"<{self.headline}>"

    def __str__(self) -> str:
        """Return the table as text."""
        return str(_shown("text", self)).rstrip("\n")

    def __rich__(self) -> Any:
        """Return the table with its colours."""
        return _shown("rich", self)

    def _repr_html_(self) -> str | None:
        return _RENDERERS["html"](self) if "html" in _RENDERERS else None

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))


def _shown(form: str, value: Displayed) -> Any:
    return _RENDERERS[form](value) if form in _RENDERERS else repr(value)
