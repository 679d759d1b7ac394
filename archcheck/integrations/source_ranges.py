"""Which characters of a file a remark at a line is about, as editors count them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from archcheck.foundation.source_place import source_lines

Range = tuple[tuple[int, int], tuple[int, int]]
"""Start and end, each a line and a column from 0. A column counts UTF-16 units, as language servers do."""


def statement_range(text: str, line: int) -> Range:
    """Return the range of what begins at `line`, from 1: a statement, or an expression inside of a longer one.

    Of a statement with a body, such as a class, it is the first line alone. If the text cannot be parsed, or nothing
    begins there, it is the line without its indentation.
    """
    lines = source_lines(text)
    if not 0 < line <= len(lines):
        return (max(0, min(line, len(lines)) - 1), 0), (max(0, min(line, len(lines)) - 1), 0)
    try:
        node = next(_beginning_at(ast.parse(text), line), None)
    except (SyntaxError, ValueError, RecursionError):
        node = None
    content = lines[line - 1]
    if node is None or isinstance(getattr(node, "body", None), list):
        indent = len(content) - len(content.lstrip())
        return (line - 1, _units(content[:indent])), (line - 1, _units(content.rstrip()))
    last = node.end_lineno or line
    return (
        (line - 1, _column(content, node.col_offset)),
        (last - 1, _column(lines[last - 1], node.end_col_offset or 0)),
    )


def class_line(text: str, name: str) -> int:
    """Return the line, from 1, of the class or function `name` in a text; 1 if there is none or it cannot be parsed."""
    try:
        nodes = ast.walk(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError):
        return 1
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return next((node.lineno for node in nodes if isinstance(node, definitions) and node.name == name), 1)


def _beginning_at(tree: ast.AST, line: int) -> Iterator[ast.stmt | ast.expr]:
    """Yield what begins at a line, the outermost first."""
    for node in ast.walk(tree):  # outer nodes come before inner ones
        if isinstance(node, ast.stmt | ast.expr) and node.lineno == line:
            yield node


def _column(line: str, offset: int) -> int:
    return _units(line.encode()[:offset].decode(errors="ignore"))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="replace")) // 2
