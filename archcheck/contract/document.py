"""Read a TOML file as a tree of nodes. Each node knows its line and collects its mistakes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from archcheck.contract.toml_lines import KeyPath, key_lines
from archcheck.foundation.annotated_values import Mismatch, coerce, show
from archcheck.foundation.errors import ArchcheckError, ContractError, Problem
from archcheck.foundation.json_documents import is_deep
from archcheck.foundation.source_place import Where
from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import quote

POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
LARGEST = 1 << 26
"""Most bytes of a contract file."""
LONG_NUMBER = re.compile(r"[0-9_]{1000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file under the name that users see, with the lines of its keys and the problems found so far."""

    file: str
    lines: Mapping[KeyPath, int]
    problems: list[Problem] = field(default_factory=list)
    read: dict[tuple[type, str], Any] = field(default_factory=dict)
    """What tables without a mistake were read as: many subjects state the same rules."""

    def line(self, path: KeyPath) -> int:
        """Return the line of a value, or of the nearest table around it."""
        if (line := self.lines.get(path)) is not None:
            return line
        around = (path[:length] for length in range(len(path) - 1, -1, -1))
        return next((self.lines[outer] for outer in around if outer in self.lines), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of a document and the path to it."""

    document: Document
    path: KeyPath
    value: Any

    @property
    def name(self) -> str:
        """The key of this value, or of the list that it is an item of."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), self.document.file)

    @property
    def where(self) -> Where:
        """The line of this value."""
        return Where(file=self.document.file, line=self.document.line(self.path))

    def complain(self, message: str) -> None:
        """Add a problem at this line."""
        where = self.where
        self.document.problems.append(Problem(file=where.file, line=where.line, message=message))

    def complain_of_value(self, message: str) -> None:
        """Add a problem whose message goes on after the key: `must be positive`."""
        self.complain(f"{quote(self.name)} {message}")

    def child(self, key: str | int) -> Node:
        """Return the value at a key of this table, or at an index of this list."""
        return Node(document=self.document, path=(*self.path, key), value=self.value[key])

    def items(self) -> Iterator[Node]:
        """Yield the items of this list in order. Any other value is its own single item."""
        if isinstance(self.value, list):
            yield from map(self.child, range(len(self.value)))
        else:
            yield self

    def table(self) -> dict[str, Node] | None:
        """Return the nodes of this table by key, in file order. Complain if it is not a table."""
        if isinstance(self.value, dict):
            return {key: self.child(key) for key in self.value}
        self.complain_of_value(f"must be a table, found {show(self.value)}")
        return None

    def read(self, kind: Any) -> Any:
        """Return this value as a `kind`. Complain and return `None` if it is something else."""
        try:
            return coerce(self.value, kind)
        except Mismatch as mismatch:
            at_fault = replace(self, path=self.path + mismatch.path)
            names = " of ".join(map(quote, (*reversed(mismatch.keys), self.name)))
            at_fault.complain(f"{names} {mismatch}")
            return None


def parse(path: Path) -> Node:
    """Read a TOML file.

    Raises `ContractError` with one problem when it is not UTF-8 or not TOML, and plain `ArchcheckError` when
    there is no such file or it cannot be read.
    """
    file, text = show_path(path), ""
    try:
        text = read_text(path)
        values = tomllib.loads(text)  # before the lines: `key_lines` trusts that the text is valid
        if is_deep(values):  # as keys with many dots are without any recursion of the parser
            raise RecursionError
        return Node(document=Document(file=file, lines=key_lines(text)), path=(), value=values)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        _refuse(file, line, f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8")
    except RecursionError:
        _refuse(file, 1, "lists or tables are nested too deeply to be read")
    except ValueError as error:
        _refuse(file, *_place(str(error), text))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file. Raises `UnicodeDecodeError`, or `ArchcheckError` in one line."""
    file = show_path(path)
    if path.is_dir():
        raise ArchcheckError(f"{file} is a folder; name the contract file in it, such as archcheck.toml")
    try:
        return read_bytes(path, LARGEST, streams=True).decode("utf-8-sig")
    except FileNotFoundError:
        raise ArchcheckError(f"{file} does not exist; name a contract file, such as pyproject.toml") from None
    except OSError as error:
        raise ArchcheckError(f"{file} cannot be read: {error.strerror}; check the path and its permissions") from None


def show_path(path: Path) -> str:
    """Return a path for people: relative if it lies near the current folder, else absolute."""
    here, absolute = Path.cwd(), path.parent.resolve() / path.name
    if absolute.is_relative_to(here):
        return absolute.relative_to(here).as_posix()
    if here.is_relative_to(absolute.parent):
        steps_up = len(here.parts) - len(absolute.parent.parts)
        return "../" * steps_up + absolute.name
    return absolute.as_posix()


def _refuse(file: str, line: int, message: str) -> NoReturn:
    raise ContractError(Problem(file=file, line=line, message=message)) from None


def _place(message: str, text: str) -> tuple[int, str]:
    """Split the line number from a message of `tomllib`."""
    found = POSITION.search(message)
    if found is None:  # a number with more digits than Python converts
        number = LONG_NUMBER.search(text)
        line = text.count("\n", 0, number.start()) + 1 if number else 1
        return line, f"not valid TOML: {message}"
    what = message[: found.start()]
    what = f"not valid TOML: {what[:1].lower()}{what[1:]}"
    if found[1] is None:
        return text.rstrip().count("\n") + 1, f"{what} at the end of the file"
    return int(found[1]), f"{what} (column {found[2]})"
