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
    return {**names, **_parts} if isinstance(names, dict) else {}


def running_cell() -> int | None:
    """Return the number of the cell that runs now, `None` outside of IPython.

    It is that of the last input: some releases of IPython count on before a cell runs, and some after it.
    """
    inputs = getattr(_shell(), "user_ns", {}).get("In")
    return len(inputs) - 1 if isinstance(inputs, list) and inputs else None


def keep_parts(before: dict[str, int]) -> None:
    """Count code that was run since `cells_run` returned `before` as a part of the cell that runs now."""
    number = running_cell()
    if number is not None:
        _parts.update({file: number for file, count in cells_run().items() if before.get(file) != count})


_parts: dict[str, int] = {}


def _shell() -> Any:
    ipython: Any = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
