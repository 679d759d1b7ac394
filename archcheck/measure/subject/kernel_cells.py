"""Keep the cells of a running notebook, so that places are the cell and the line that its author sees."""

from __future__ import annotations

import ast
import linecache

from archcheck.foundation.notebook_cells import cell_name, cells_run
from archcheck.measure.subject.source_text import keep_cell, keep_classes, keep_name


def keep_kernel_cells() -> None:
    """Keep the source of each cell that IPython has run in this process. Elsewhere nothing happens."""
    for file, number in sorted(cells_run().items(), key=lambda cell: cell[1]):
        text = "".join(linecache.getlines(file))
        name = cell_name(number)
        keep_name(file, name)
        keep_cell(name, text, "")
        try:
            keep_classes("__main__", name, ast.parse(text))
        except (SyntaxError, ValueError):
            continue
