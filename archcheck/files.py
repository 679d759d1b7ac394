"""Files written whole, so that a reader finds what was there before or what is there now, and JSON read with care."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any, NoReturn

from archcheck.errors import ArchcheckError
from archcheck.words import quote

DEEPEST = 100
"""How deep lists and tables may be nested, so that whoever walks through them comes back."""
DIGITS = 100
"""Characters of an integer beyond which nobody can compute with it in floating point, nor with its square."""
_TOO_DEEP = "nested too deeply to be read"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:[0-9][0-9.eE+-]*|Infinity|NaN)')


def write_whole(file: Path, content: str | bytes) -> None:
    """Write `file`, text as UTF-8, whole or not at all; a link is followed to the file that it names,
    and who may read or run a file that is there stays as it was.

    What is no regular file, such as `/dev/null`, is written to as it is. Raises `OSError` when it cannot be
    written; then it is as it was before.
    """
    data = content.encode() if isinstance(content, str) else content
    target = file.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read_json(file: Path, shown: str, repair: str) -> Any:
    """Return the JSON document in `file`; `shown` is its name for people, `repair` what to do about a bad one.

    Raises `ArchcheckError` in one line when it cannot be read, is no text or no JSON.
    """
    try:
        return json_of(file.read_bytes())
    except IsADirectoryError:
        raise ArchcheckError(f"{shown} is a folder, not a JSON file; name a file in it") from None
    except OSError as error:
        raise ArchcheckError(f"{shown} cannot be read: {error.strerror}; check the path and its permissions") from None
    except ValueError as error:
        raise ArchcheckError(f"{shown} is {error}; {repair}") from None


def json_of(data: bytes) -> Any:
    """Return the JSON document in the bytes of a file, at most `DEEPEST` deep and without numbers that are none.

    Raises `ValueError`, in words that go on after "it is", for anything else.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no text: byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8") from None
    try:
        document = json.loads(text, parse_int=_integer, parse_float=_finite, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"damaged: not JSON at {where} ({error.msg.lower()})") from None
    except _BadNumber as error:
        raise ValueError(f"damaged: {quote(error.word)} in line {_line(error.word, text)} is no number here") from None
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
