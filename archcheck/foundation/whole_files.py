"""Read files whole, and write them atomically, so that a reader finds the old or the new content."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from archcheck.foundation.file_locks import is_at, remove_if_unlocked, try_lock
from archcheck.foundation.regular_files import open_regular, refuse_irregular

LARGEST = 1 << 30
"""Bytes of a file that archcheck reads whole at most."""
_PARTIAL = ".partial"
_SHORT = 40
"""Letters of a file's name that the name of its partial file repeats: a name may not become too long."""
_MOST_LINKS = 40


def write_whole(file: Path, content: str | bytes) -> None:
    """Write `file` whole or not at all; text is written as UTF-8.

    Links are followed, and the permissions of an existing file are kept. A pipe, a device such as `/dev/null` and an
    open file of this process such as `/dev/stdout` are written to directly. Raises `OSError` if the file cannot be
    written; an existing file is then unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    if is_stream(file):
        number = _descriptor(file)
        with file.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as out:
            out.write(data)
        return
    target = Path(os.path.realpath(file))
    partial, stream = _new_partial(target)
    with stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            if target.exists():
                shutil.copymode(target, partial)
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_together(contents: Mapping[Path, str]) -> None:
    """Write several files with the folders that they need. If one cannot be written, the others are as they were.

    Raises `OSError` with the name of the file that cannot be written.
    """
    undo = contextlib.ExitStack()
    for file, content in contents.items():
        try:
            for folder in reversed([each for each in file.parents if not each.exists()]):
                folder.mkdir()
                undo.callback(folder.rmdir)
            if file.exists():
                undo.callback(write_whole, file, read_bytes(file))
            else:
                undo.callback(file.unlink, missing_ok=True)
            replace_whole(file, content)
        except BaseException as error:
            undo.close()
            if isinstance(error, OSError):
                error.filename = str(file)
            raise
    undo.pop_all()


def is_stream(file: Path) -> bool:
    """Whether a path is written to directly: a pipe, a device or `/dev/stdout`, but not a folder."""
    return _descriptor(file) is not None or (file.exists() and not file.is_file() and not file.is_dir())


def _descriptor(file: Path) -> int | None:
    """Return the descriptor of this process that a name such as `/dev/stdout` refers to, if it does."""
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(file.parent)
        if file.name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(file.name)
        if not file.is_symlink():
            return None
        file = Path(folder, file.readlink())
    return None


def _new_partial(target: Path) -> tuple[Path, BinaryIO]:
    """Return a new locked file in the folder of `target`. Remove old ones that no process is writing any more."""
    beginning = f".{target.name[:_SHORT]}."
    for left in target.parent.glob(f"{glob.escape(beginning)}*{_PARTIAL}"):
        remove_if_unlocked(left)
    while True:
        partial = target.with_name(f"{beginning}{os.urandom(4).hex()}{_PARTIAL}")
        stream = partial.open("xb")
        with contextlib.suppress(OSError):  # without locks no process removes it
            try_lock(stream.fileno())
        if is_at(stream.fileno(), partial):  # else another process removed it before it was locked
            return partial, stream
        stream.close()


def replace_whole(file: Path, content: str | bytes) -> None:
    """Write `file` as `write_whole` does. Raises `OSError` for a pipe or a device, too."""
    refuse_irregular(file)
    write_whole(file, content)


def read_bytes(file: Path, most: int = LARGEST, *, streams: bool = False) -> bytes:
    """Return the content of a regular file. Raises `OSError` if it cannot be read, or has more than `most` bytes.

    With `streams`, for files that a command line names, it may also be an open file of this process, such as
    `/dev/stdin`. Other pipes and devices are refused, because reading them might never end.
    """
    with file.open("rb") if streams and _descriptor(file) is not None else open_regular(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes")
    return data
