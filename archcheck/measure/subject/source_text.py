"""The source of the subject's files, as lines in messages and places count it.

A notebook is no Python file: each of its code cells is kept here as a file of its own, `nb.ipynb:cell 3`, so that a
place in it reads `nb.ipynb:cell 3:12`. Cells are counted among the code cells, from 1; messages quote their first line.
"""

from __future__ import annotations

import ast
import linecache
from functools import cache
from importlib.util import decode_source
from pathlib import Path

from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import cut, quote

_LONGEST = 40
"""How many characters of the first line of a cell are quoted."""
_cells: dict[str, str] = {}
_first_lines: dict[str, str] = {}
_classes: dict[tuple[str, str], tuple[str, int]] = {}


def keep_cell(file: str, text: str, source: str) -> None:
    """Keep the code `text` of the cell `file`, which is not a file on disk, for tracebacks and `inspect`, too.

    `source` is what the user sees in the notebook. Messages quote its first line.
    """
    _cells[file] = text
    _first_lines[file] = next((line.strip() for line in source.splitlines() if line.strip()), "")
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def keep_classes(module: str, file: str, tree: ast.Module) -> None:
    """Remember where the classes of a cell are: Python looks for them in the notebook, which has no such lines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            _classes[module, node.name] = file, first


def class_in_cell(module: str, name: str) -> tuple[str, int] | None:
    """Return the cell and the line of a class of a notebook, of its last definition."""
    return _classes.get((module, name))


def is_cell(file: str) -> bool:
    """Whether a file is a cell of a notebook."""
    return file in _cells


def place(file: str, *lines: int) -> str:
    """Return `net.py:12`, or `nb.ipynb:cell 3:12 in "fc = nn.Linear(3, 4)"`, for people."""
    shown = f"{Path(file).name}:{', '.join(map(str, lines))}"
    return f"{shown} in {quote(cut(_first_lines[file], _LONGEST))}" if _first_lines.get(file) else shown


def file_of(file: str) -> str:
    """Return the file on disk: that of the notebook for a cell."""
    return file.rpartition(":cell ")[0] if file in _cells else file


def text_of(file: str) -> str:
    """Return the source of a file or a cell, decoded as Python does.

    Raises:
        OSError: it cannot be read.
        SyntaxError: its encoding is unknown. UnicodeDecodeError: it is not written in it.
    """
    if file in _cells:
        return _cells[file]
    return decode_source(read_bytes(Path(file)))


@cache
def parse(file: str) -> ast.Module | None:
    """Return the syntax tree of a source file or a cell, `None` if it cannot be read."""
    try:
        return ast.parse(text_of(file))
    except (OSError, SyntaxError, ValueError):
        return None
