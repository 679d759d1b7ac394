"""Keep the cells of a running notebook, so that places are the cell and the line that its author sees."""

from __future__ import annotations

import ast
import linecache

from archcheck.foundation.notebook_cells import cell_name, cells_run
from archcheck.measure.subject.source_text import keep_cell, keep_classes, keep_name, shown_file


def keep_kernel_cells() -> None:
    """Keep the source of each cell that IPython has run in this process. Elsewhere nothing happens."""
    for file, number in sorted(cells_run().items(), key=lambda cell: cell[1]):
        name = cell_name(number)
        if shown_file(file) == name:  # it was kept when another model was measured
            continue
        text = "".join(linecache.getlines(file))
        keep_name(file, name)
        keep_cell(name, text, "")
        try:
            keep_classes("__main__", name, ast.parse(text))
        except (SyntaxError, ValueError):
            continue
