"""Open regular files only, because a pipe or a device may block for ever; write everything to a descriptor."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path

_NONBLOCKING = getattr(os, "O_NONBLOCK", 0)


def open_regular(file: str | Path) -> BufferedReader:
    """Open a file to read. Raises `OSError` if it is missing, and for a folder, a pipe, a device or a socket."""
    refuse_irregular(file)  # before it is opened, because opening a device may have an effect
    stream = open(file, "rb", opener=lambda path, flags: os.open(path, flags | _NONBLOCKING))  # noqa: SIM115
    try:
        _refuse_mode(os.fstat(stream.fileno()).st_mode, file)  # the path may lead to another file now
    except OSError:
        stream.close()
        raise
    return stream


def sha256_of(file: str | Path) -> str:
    """Return the digest of the content of a file in hexadecimal. Raises `OSError` as `open_regular`."""
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_irregular(file: str | Path, *, follow: bool = True) -> None:
    """Raise `OSError` for a pipe, a device or a socket; without `follow` also for a link.

    A missing path and a folder pass, because opening them raises an error.
    """
    try:
        mode = Path(file).stat(follow_symlinks=follow).st_mode
    except FileNotFoundError:
        return
    _refuse_mode(mode, file)


def is_file(file: Path) -> bool:
    """Whether a path is a regular file, or a link to one. A folder that may not be entered holds none."""
    try:
        return file.is_file()
    except PermissionError:  # which only later releases of Python take for an answer
        return False


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content`, in as many steps as the system needs."""
    left = memoryview(content)  # a slice of it is not a copy: the content may be long
    while left:
        left = left[os.write(descriptor, left) :]


def _refuse_mode(mode: int, file: str | Path) -> None:
    if stat.S_ISLNK(mode):
        raise OSError(errno.EINVAL, "it is a link", os.fspath(file))
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is neither a file nor a folder", os.fspath(file))
