"""Text files beside a model, such as its README, which rules about texts judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from archcheck.foundation.errors import NotMeasured
from archcheck.foundation.regular_files import open_regular
from archcheck.foundation.source_place import Where
from archcheck.foundation.suffixes import TENSORS, ends
from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import quote

LARGEST = 1 << 26
"""Bytes of a text file at most: people read no longer ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text file with its original line ends; `shown` is its name in messages.

    If it could not be read, `content` is `None` and `problem` is the reason.
    """

    shown: str
    content: str | None = None
    problem: str | None = None

    def demand(self) -> str:
        """Return the content. Raises `NotMeasured` if the file could not be read."""
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
class Stated:
    """Numbers in a `file`, at a `pattern` or a JSON `pointer`, that a rule holds to what proves them, named `by`.

    Numbers below the pointer belong to them, except if it leads to the number `itself`.
    """

    file: str
    pattern: str | None = None
    pointer: str | None = None
    by: str
    itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The files that rules asked for, by the names that they use, and the `subjects` that markers may name.

    `proven` are the numbers in them that the rules of the subject hold to something. `limit` is the number of seconds
    for matching one pattern.
    """

    files: Mapping[str, Text] = field(default_factory=dict)
    proven: tuple[Stated, ...] = ()
    subjects: tuple[str, ...] = ()
    limit: float = 120.0

    def __getitem__(self, name: str) -> Text:
        """Return the file of that name. Raises `NotMeasured` if it was not read."""
        if name not in self.files:
            raise NotMeasured(f"{quote(name)} was not read; judge through a contract in the folder of that file")
        return self.files[name]


def read_text(file: Path, shown: str) -> Text:
    """Return the text of a UTF-8 file; of a safetensors file that is its header. If it cannot be read, the text has a
    `problem`.
    """
    try:
        return Text(
            shown=shown, content=(_header(file) if ends(file.name, TENSORS) else read_bytes(file, LARGEST)).decode()
        )
    except FileNotFoundError:
        problem = f"there is no file {shown}"
    except UnicodeDecodeError as error:
        problem = f"{shown} is not text: byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8"
    except (OSError, ValueError) as error:  # a name with a null character raises `ValueError`
        problem = f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}"
    return Text(shown=shown, problem=problem)


def _header(file: Path) -> bytes:
    """Return the JSON at the beginning of a safetensors file: its length in eight bytes, and then itself."""
    with open_regular(file) as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LARGEST:
            raise ValueError("it is not a safetensors file, or its header is too long")
        data = stream.read(length)
    if len(data) < length or not data.startswith(b"{"):
        raise ValueError("it is not a safetensors file")
    return data
