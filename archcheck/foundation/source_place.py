"""A place in a source file, for findings, facts and mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place in a source file: `file` is relative to the project if possible, and lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def source_lines(text: str) -> list[str]:
    r"""Return the lines of source code as Python and editors count them: a form feed or U+2028 ends no line.

    >>> source_lines("a\x0cb\r\nc\n")
    ['a\x0cb', 'c']
    """
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]
