"""Text files beside a model, such as its README, which rules about claims judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.files import read_bytes
from archcheck.foundation.source_place import Where
from archcheck.foundation.words import quote

LARGEST = 1 << 26
"""Bytes of a file beyond which it is no text that people read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text file, with its line ends as they are; `shown` is its name for people.

    Where it could not be read, `content` is `None` and `problem` says why and what to do.
    """

    shown: str
    content: str | None = None
    problem: str | None = None

    def demand(self) -> str:
        """Return the content. Raises `NotMeasured` where there is none."""
        if self.content is None:
            raise NotMeasured(
                self.problem or f"{self.shown} was not read",
                where=Where(file=self.shown, line=1),
                fix="write that file, or change what the contract names",
            )
        return self.content

    def line(self, position: int) -> Where:
        """Return the line of a position in the content."""
        return Where(file=self.shown, line=(self.content or "").count("\n", 0, position) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The files that rules asked for, by the name that they gave, and the `subjects` that texts may speak of.

    `limit` is how many seconds a pattern may take to be matched.
    """

    files: Mapping[str, Text] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    limit: float = 120.0

    def __getitem__(self, name: str) -> Text:
        """Return the file of that name. Raises `NotMeasured` if nobody read it."""
        if name not in self.files:
            raise NotMeasured(f"{quote(name)} was not read; judge through a contract in the folder of that file")
        return self.files[name]


def read_text(file: Path, shown: str) -> Text:
    """Return the text of a UTF-8 file. If it cannot be read, the text has a `problem`."""
    try:
        return Text(shown=shown, content=read_bytes(file, LARGEST).decode())
    except FileNotFoundError:
        problem = f"there is no file {shown}"
    except UnicodeDecodeError as error:
        problem = f"{shown} is not text: byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8"
    except (OSError, ValueError) as error:  # a name with a zero in it is a `ValueError`
        problem = f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}"
    return Text(shown=shown, problem=problem)
