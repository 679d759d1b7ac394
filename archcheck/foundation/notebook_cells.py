"""The cells that IPython has run in this process, named as Jupyter counts them: `In [3]`."""

from __future__ import annotations

import sys
from typing import Any


def cell_name(number: int) -> str:
    """Return the name of a cell for people."""
    return f"In [{number}]"


def cells_run() -> dict[str, int]:
    """Return the file name under which each cell was compiled, and its number; empty outside of IPython.

    The table is a private attribute of IPython's compiler, and there is no public one: its absence costs the names.
    """
    names = getattr(getattr(_shell(), "compile", None), "_filename_map", None)
    return dict(names) if isinstance(names, dict) else {}


def running_cell() -> str | None:
    """Return the name of the cell that runs now, `None` outside of IPython."""
    number = getattr(_shell(), "execution_count", None)
    return cell_name(number) if isinstance(number, int) else None


def _shell() -> Any:
    ipython: Any = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
