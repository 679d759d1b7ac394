"""Tell which files have another content than before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from archcheck.foundation.regular_files import sha256_of

_Look = tuple[object, str | None]
"""What the system tells of a file, and the SHA-256 of its content; `None` for what cannot be read."""


class WatchedFiles:
    """Files as they were when they were last looked at. Their contents are read again only where the system says that
    something changed, so a look at hundreds of them is cheap.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._looks: dict[Path, _Look] = {file: (_status(file), _digest(file)) for file in files}

    def changed(self) -> list[Path]:
        """Return the files that were changed, deleted or made since the last look. Each change is told once."""
        found = []
        for file, (status, digest) in self._looks.items():
            if (now := _status(file)) == status:
                continue
            content = _digest(file)
            self._looks[file] = (now, content)
            if content != digest:
                found.append(file)
        return found


def _status(file: Path) -> object:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns  # the last cannot be set by a program


def _digest(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except (OSError, ValueError):
        return None
