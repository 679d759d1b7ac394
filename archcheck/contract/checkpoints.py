"""Subjects with several checkpoints: one entry for each file, such as a model for each device."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from archcheck.contract.specifications import SubjectEntry


def each_checkpoint(entry: SubjectEntry, root: Path) -> tuple[SubjectEntry, ...]:
    """Return an entry for each file that `weights` names, `net[a.pt]`, or the entry itself if it names one file.

    A pattern that matches no file stays one: measuring the subject tells that there is no such file.
    """
    stated = entry.weights
    if stated is None or (isinstance(stated, str) and not _is_pattern(stated, root)):
        return (entry,)
    patterns = (stated,) if isinstance(stated, str) else stated
    files = tuple(dict.fromkeys(file for pattern in patterns for file in _files(pattern, root)))
    named = Counter(PurePath(file).name for file in files)
    return tuple(
        replace(entry, name=f"{entry.name}[{_short(file, named)}]", family=entry.family or entry.name, weights=file)
        for file in files
    )


def _short(file: str, named: Counter[str]) -> str:
    name = PurePath(file).name
    return name if named[name] == 1 else PurePath(file).as_posix()


def _files(pattern: str, root: Path) -> Iterator[str]:
    if not _is_pattern(pattern, root):
        yield pattern
        return
    start = Path(PurePath(pattern).anchor or root)
    try:
        inside = start.glob(PurePath(pattern).relative_to(PurePath(pattern).anchor).as_posix())
        found = sorted(file for file in inside if file.is_file())
    except (ValueError, NotImplementedError):  # no pattern that `glob` knows
        found = []
    yield from (str(file.relative_to(root) if start == root else file) for file in found)
    if not found:
        yield pattern


def _is_pattern(text: str, root: Path) -> bool:
    """Whether a text is a pattern of files, and not the name of one with such characters."""
    return glob.has_magic(text) and not Path(root, text).exists()
