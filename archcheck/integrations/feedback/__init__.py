"""Pages of feedback: one for each student, and one about the class, as HTML and as Markdown.

A page says in plain words what was asked, what was found and where, and what to do. Names and messages are text of
strangers: HTML escapes every value, and Markdown shows it literally. jinja2 comes with the extra `html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.whole_files import write_whole
from archcheck.integrations.class_summary import summary_of
from archcheck.integrations.feedback.markdown import class_page, student_page
from archcheck.integrations.file_names import file_name
from archcheck.integrations.grades import Grade


def demand_libraries() -> None:
    """Raise `ArchcheckError`, in one line, unless what a page takes is installed."""
    if find_spec("jinja2") is None:
        raise ArchcheckError("pages of feedback need jinja2; install with `pip install 'archcheck-torch[html]'`")


class Feedback:
    """The folder of the pages. It is created with the first page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, grade: Grade) -> None:
        """Write the page of a student. Raises `ArchcheckError` when it cannot be written."""
        from archcheck.integrations.feedback.templates import fill

        name = file_name(grade)
        self._save(f"{name}.html", fill("student.html.jinja", style=_style(), grade=grade))
        self._save(f"{name}.md", student_page(grade))

    def write_class(self, grades: Sequence[Grade]) -> None:
        """Write the page about all students. Raises `ArchcheckError` when it cannot be written."""
        from archcheck.integrations.feedback.templates import fill

        summary = summary_of(grades)
        self._save("index.html", fill("class.html.jinja", style=_style(), summary=summary))
        self._save("index.md", class_page(summary))

    def _save(self, name: str, text: str) -> None:
        file = self._folder / name
        try:
            self._folder.mkdir(exist_ok=True)
            if file.is_symlink():  # put there by somebody else: what it names is not ours to write
                file.unlink()
            write_whole(file, text)
        except OSError as error:
            raise ArchcheckError(f"cannot write {file}: {error.strerror}; choose another folder") from None


def _style() -> str:
    return files("archcheck.integrations.feedback").joinpath("page.css").read_text(encoding="utf-8")
