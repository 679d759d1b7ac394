"""The source of the subject's files and of notebook cells, with the line numbers that messages use.

Each code cell of a notebook is kept here as a separate file, `nb.ipynb:cell 3`, so that a place in it is
`nb.ipynb:cell 3:12`. Code cells are counted from 1, and messages quote their first line.
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
_names: dict[str, str] = {}
_classes: dict[tuple[str, str], tuple[str, int]] = {}


def keep_cell(file: str, text: str, source: str) -> None:
    """Keep the code `text` of the cell `file`, which is not a file on disk, for tracebacks and `inspect`, too.

    `source` is what the user sees in the notebook. Messages quote its first line.
    """
    _cells[file] = text
    _first_lines[file] = next((line.strip() for line in source.splitlines() if line.strip()), "")
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)


def keep_name(file: str, shown: str) -> None:
    """Remember under which name a file is shown, such as the cell of a kernel that was compiled under another name."""
    _names[file] = shown
    parse.cache_clear()  # a cell that is run again has another text
    lines_of.cache_clear()


def shown_file(file: str) -> str:
    """Return the name under which a file is shown."""
    return _names.get(file, file)


def keep_classes(module: str, file: str, tree: ast.Module) -> None:
    """Remember the lines of the classes in a cell, because `inspect` cannot find them in the notebook file."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            _classes[module, node.name] = file, first


def class_in_cell(module: str, name: str) -> tuple[str, int] | None:
    """Return the cell and the line of the last definition of a class in a notebook, `None` if there is none."""
    return _classes.get((module, name))


def is_cell(file: str) -> bool:
    """Whether a file is a cell of a notebook."""
    return file in _cells


def place(file: str, *lines: int) -> str:
    """Return `net.py:12`, or `nb.ipynb:cell 3:12 in "fc = nn.Linear(3, 4)"`, for people."""
    shown = f"{Path(file).name}:{', '.join(map(str, lines))}"
    return f"{shown} in {quote(cut(_first_lines[file], _LONGEST))}" if _first_lines.get(file) else shown


def file_of(file: str) -> str:
    """Return the file on disk, which for a cell is the notebook."""
    return file.rpartition(":cell ")[0] if file in _cells else file


def text_of(file: str) -> str:
    """Return the source of a file or a cell, decoded like Python does.

    Raises:
        OSError: it cannot be read.
        SyntaxError: its encoding is unknown. UnicodeDecodeError: its content has another encoding.
    """
    if file in _cells:
        return _cells[file]
    return decode_source(read_bytes(Path(file)))


@cache
def lines_of(file: str) -> list[str]:
    """Return the lines of a file or a cell, with their ends. Raises as `text_of`."""
    return text_of(file).splitlines(keepends=True)


@cache
def parse(file: str) -> ast.Module | None:
    """Return the syntax tree of a source file or a cell, `None` if it cannot be read."""
    try:
        return ast.parse(text_of(file))
    except (OSError, SyntaxError, ValueError):
        return None
