"""Write files atomically, so that a reader finds the old or the new content, and read JSON with care."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import math
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.file_locks import is_at, remove_if_left, try_lock
from archcheck.foundation.regular_files import open_regular, refuse_irregular
from archcheck.foundation.words import quote

DEEPEST = 100
"""How deep lists and tables may be nested, so that whoever walks through them comes back."""
DIGITS = 100
"""Characters of an integer beyond which nobody can compute with it in floating point, nor with its square."""
LARGEST = 1 << 30
"""Bytes of a file beyond which it is none that archcheck reads as a whole; a device may hold any number."""
_PARTIAL = ".partial"
_SHORT = 40
"""Letters of a name that its unfinished file repeats: a longer one than the name itself would be too long."""
_MOST_LINKS = 40
_TOO_DEEP = "nested too deeply to be read"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:[0-9][0-9.eE+-]*|Infinity|NaN)')


def write_whole(file: Path, content: str | bytes) -> None:
    """Write `file`, text as UTF-8, whole or not at all; a link is followed to the file that it names,
    and who may read or run a file that is there stays as it was.

    What is no regular file, such as `/dev/null` or a pipe, is written to as it is, and so is what this process has
    open already under a name such as `/dev/stdout`. Raises `OSError` when it cannot be written; then it is as it was
    before.
    """
    data = content.encode() if isinstance(content, str) else content
    if is_stream(file):
        number = _descriptor(file)
        with file.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as out:
            out.write(data)
        return
    target = Path(os.path.realpath(file))
    partial, stream = _begun(target)
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


def is_stream(file: Path) -> bool:
    """Whether a path is written to directly: a pipe, a device or `/dev/stdout`. A folder is none."""
    return _descriptor(file) is not None or (file.exists() and not file.is_file() and not file.is_dir())


def _descriptor(file: Path) -> int | None:
    """Return the number of this process's open file that a name such as `/dev/stdout` stands for, if it does."""
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(file.parent)
        if file.name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(file.name)
        if not file.is_symlink():
            return None
        file = Path(folder, file.readlink())
    return None


def _begun(target: Path) -> tuple[Path, BinaryIO]:
    """Return a new file in the folder of `target`, locked, after removing those that nobody is writing any more."""
    beginning = f".{target.name[:_SHORT]}."
    for left in target.parent.glob(f"{glob.escape(beginning)}*{_PARTIAL}"):
        remove_if_left(left)
    while True:
        partial = target.with_name(f"{beginning}{secrets.token_hex(4)}{_PARTIAL}")
        stream = partial.open("xb")
        with contextlib.suppress(OSError):  # without locks nobody removes it
            try_lock(stream.fileno())
        if is_at(stream.fileno(), partial):  # else it was taken for one that was left, before it was locked
            return partial, stream
        stream.close()


def replace_whole(file: Path, content: str | bytes) -> None:
    """Write `file` as `write_whole` does, but no pipe and no device. Raises `OSError` for these, too."""
    refuse_irregular(file)
    write_whole(file, content)


def read_bytes(file: Path, most: int = LARGEST, *, streams: bool = False) -> bytes:
    """Return what a file holds. Raises `OSError` when it cannot be read, or holds more than `most` bytes.

    It is a regular file, as reading from a pipe or a device might never end. With `streams` it may also be what this
    process has open already under a name such as `/dev/stdin`: that is for files that a command line names.
    """
    with file.open("rb") if streams and _descriptor(file) is not None else open_regular(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes")
    return data


def read_json(file: Path, shown: str, repair: str, *, streams: bool = False) -> Any:
    """Return the JSON document in `file`; `shown` is its name for people, `repair` what to do about a bad one.

    With `streams` it may be what this process has open already (`read_bytes`).

    Raises `ArchcheckError` in one line when it cannot be read, is no text or no JSON.
    """
    try:
        return json_of(read_bytes(file, streams=streams))
    except IsADirectoryError:
        raise ArchcheckError(f"{shown} is a folder, not a JSON file; name a file in it") from None
    except OSError as error:
        raise ArchcheckError(f"{shown} cannot be read: {error.strerror}; check the path and its permissions") from None
    except ValueError as error:
        raise ArchcheckError(f"{shown} is {error}; {repair}") from None


def json_of(data: bytes) -> Any:
    """Return the JSON document in the bytes of a file, at most `DEEPEST` levels deep and with finite numbers only.

    Raises `ValueError` for anything else; its text continues "it is ...".
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not text: byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8") from None
    try:
        document = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"damaged: not JSON at {where} ({error.msg.lower()})") from None
    except _BadNumber as error:
        raise ValueError(
            f"damaged: {quote(error.word)} in line {_line(error.word, text)} is not a number here"
        ) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_deep(document):
        raise ValueError(_TOO_DEEP)
    return document


class _BadNumber(ValueError):  # noqa: N818 - the name says what it is
    def __init__(self, word: str) -> None:
        self.word = word


def _refuse(word: str) -> NoReturn:
    raise _BadNumber(word)


def _integer(word: str) -> int:
    return int(word) if len(word) <= DIGITS else _refuse(word)


def _finite(word: str) -> float:
    return number if math.isfinite(number := float(word)) else _refuse(word)


def _line(word: str, text: str) -> int:
    """Return the line in which a number stands that is not within a string."""
    found = next((token for token in _TOKENS.finditer(text) if token.group() == word), None)
    return text.count("\n", 0, found.start() if found else 0) + 1


def is_deep(document: Any) -> bool:
    """Whether the lists and tables of a document are nested more than `DEEPEST` deep."""
    level = [document]
    for _ in range(DEEPEST + 1):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for values in inner for each in values]
    return bool(level)
