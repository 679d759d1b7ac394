"""The files that targets name, and the subjects whose model is in a file."""

from __future__ import annotations

import re
from pathlib import Path

from archcheck.contract import Contract, SubjectEntry
from archcheck.foundation.model_configurations import configuration_file
from archcheck.foundation.regular_files import is_file

Place = tuple[Path | None, str]
"""A file and the name within it; the name is empty for a whole file."""


def place(root: Path, target: str) -> Place:
    """Return the file of `file.py:Net` or `pkg.mod:Net` below `root` and the name in it. The file is `None` if there is
    none.
    """
    if configuration := configuration_file(root / target):
        return configuration.resolve(), ""
    head, colon, name = target.rpartition(":")
    head, name = (head, name) if colon else (name, "")
    candidates = [root / head]
    if re.fullmatch(r"\w+(\.\w+)*", head):
        dotted = root.joinpath(*head.split("."))
        candidates += [dotted.with_suffix(".py"), dotted / "__init__.py"]
    return next((file.resolve() for file in candidates if is_file(file)), None), name


def subjects_in(contract: Contract, file: Path | None) -> list[tuple[SubjectEntry, str]]:
    """Return the subjects whose model is in `file`, each with the name of the model there."""
    places = ((entry, place(contract.root, entry.model)) for entry in contract.subjects)
    return [(entry, name) for entry, (of, name) in places if file is not None and of == file]
