"""Check files of unknown origin, and zip archives among them, before their content is read.

Torch stores its archives uncompressed, each entry once. Other archives are refused, so that reading never takes more
memory than the length of the file.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import NoReturn

from archcheck.foundation.errors import SubjectError, one_line
from archcheck.foundation.words import cut

MANY = 1_000_000
"""Entries at most: archives of torch have fewer."""

BROKEN = (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, OverflowError, struct.error)
"""What reading a damaged archive raises, besides `OSError`."""

_LONGEST = 500
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


def refuse(shown: str, what: str, fix: str) -> NoReturn:
    """Raise a `SubjectError` that says what is wrong with the file `shown`, and what to do.

    `what` may quote arbitrary content of the file, so it is put on one line and cut at 500 characters.
    """
    raise SubjectError("artifact", f"`{shown}` {cut(one_line(what), _LONGEST)}; {fix}")


def regular_file(root: str, shown: str) -> Path:
    """Return the path of a file. Raises `SubjectError` unless it is a regular, readable file that is not empty."""
    path = Path(root, shown)
    try:
        found = path.stat()
        if path.is_dir():
            refuse(shown, "is a folder", "name the file in it")
        if not path.is_file():
            refuse(shown, "is neither a file nor a folder", "name a regular file")
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise SubjectError("not-found", f"there is no file `{shown}`; is the path relative to {root}?") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        refuse(shown, f"cannot be read: {reason}", "is it yours to read, and where you say?")
    if not found.st_size:
        refuse(shown, "is empty", "write it again")
    return path


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(count)


def is_zip(path: Path) -> bool:
    """Whether a file begins like a zip archive."""
    return first_bytes(path, 4) in (_ZIP, _EMPTY_ZIP)


class Archive:
    """The entries of a zip archive as torch writes it, with names relative to its one folder."""

    def __init__(self, path: Path, shown: str) -> None:
        """Read the directory. Raises `SubjectError` for an archive that torch would not write."""
        self.shown = shown
        try:
            self._zip = zipfile.ZipFile(path)
        except (*BROKEN, OSError) as error:
            self.damaged(str(error))
        infos = self._zip.infolist()
        if not infos or len(infos) > MANY:
            self.damaged(f"its directory names {len(infos):,} entries")
        self.top = infos[0].filename.split("/")[0]
        self._infos = {info.filename.removeprefix(f"{self.top}/"): info for info in infos}
        self._check(infos, path.stat().st_size)

    def _check(self, infos: list[zipfile.ZipInfo], size: int) -> None:
        if len(self._infos) != len(infos):
            self.damaged("two of its entries have the same name")
        if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
            self.damaged("its entries are compressed or encrypted, which torch never does")
        total = sum(info.file_size for info in infos)
        if total > size or any(info.file_size != info.compress_size for info in infos):
            self.damaged(f"its entries claim {total:,} bytes, the file has {size:,}")

    def damaged(self, reason: str) -> NoReturn:
        """Raise the `SubjectError` for an archive that is damaged or not torch's."""
        refuse(self.shown, f"is damaged or not an archive of torch: {reason}", "write it again")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the entries, without their common folder."""
        return tuple(self._infos)

    def size(self, name: str) -> int:
        """Return the size in bytes of an existing entry."""
        return self._infos[name].file_size

    def read(self, name: str) -> bytes:
        """Return the content of an entry. Raises `SubjectError` if it is missing or damaged."""
        info = self._infos.get(name)
        if info is None:
            self.damaged(f"it holds no entry `{name}`")
        try:
            content = self._zip.read(info)
        except (*BROKEN, OSError) as error:
            self.damaged(str(error))
        if len(content) != info.file_size:
            self.damaged(f"`{name}` ends early")
        return content
