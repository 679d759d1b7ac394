"""Read a notebook as Python: its code cells in order, without the lines that only IPython understands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import SubjectError
from archcheck.foundation.json_documents import json_of
from archcheck.foundation.source_place import source_lines
from archcheck.foundation.whole_files import read_bytes
from archcheck.measure.subject.source_text import keep_cell

_FOREIGN = re.compile(r"%%(?!time|timeit|capture|prun)\w+")
"""The first line of a cell in another language: `%%bash`, `%%writefile`, `%%html`."""
_MAGIC = re.compile(r"\s*(?:[%!?]|[\w.]+\?{1,2}\s*$|[\w.,\s]+=\s*[%!]\s*\w)")
"""A line for IPython: `%matplotlib inline`, `!pip install`, `nn.Linear?`, `files = !ls`."""


def code_cells(path: Path, shown: str) -> list[str]:
    """Return the names of the code cells of a notebook, and register their sources in `source_text`.

    A cell is named by its number among the code cells, counted from 1. Its lines keep their numbers: a magic becomes
    `pass`.

    Raises:
        SubjectError: the file is not a notebook.
    """
    try:
        document = json_of(read_bytes(path))
        sources = [_source(cell) for cell in _all_cells(document) if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SubjectError(
            "syntax", f"`{shown}` is not a Jupyter notebook: {error}; save it in Jupyter again"
        ) from None
    names = []
    for number, source in enumerate(sources, 1):
        names.append(f"{path}:cell {number}")
        keep_cell(names[-1], python_of(source), source)
    return names


def _all_cells(document: Any) -> list[Any]:
    if "cells" in document:
        return list(document["cells"])
    if "worksheets" not in document:
        raise ValueError("it has no cells")
    return [cell for sheet in document["worksheets"] for cell in sheet["cells"]]


def _source(cell: Any) -> str:
    if "source" not in cell and "input" not in cell:
        raise ValueError("a cell has no source")
    text = cell["source"] if "source" in cell else cell["input"]
    return text if isinstance(text, str) else "".join(text)


def python_of(source: str) -> str:
    """Return a cell with `pass` for each line that is not Python. A cell that is Python stays as it is."""
    lines = source_lines(source)
    if _is_python(source):
        return source + "\n"
    if _FOREIGN.match(next((line for line in lines if line.strip()), "")):
        return "\n" * len(lines)
    kept: list[str] = []
    within = False
    for line in lines:
        magic = bool(_MAGIC.match(line)) and not _continues(kept)
        indent = line[: len(line) - len(line.lstrip())]
        kept.append("" if within else f"{indent}pass" if magic else line)
        within = (within or magic) and line.rstrip().endswith("\\")
    return "\n".join(kept) + "\n"


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _continues(before: list[str]) -> bool:
    """Whether the next line continues an expression, so that a `%` at its start is an operator."""
    text = before[-1].rstrip() if before else ""
    return text.endswith(("\\", "(", "[", "{", ",", "+", "*"))
