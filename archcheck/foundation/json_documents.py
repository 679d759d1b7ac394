"""Read JSON documents: with limits on depth and numbers, and with one-line errors."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import quote

DEEPEST = 100
"""How deep lists and tables may be nested, so that recursive functions can walk through them."""
DIGITS = 100
"""Characters of an integer at most: a float can hold neither longer ones nor their squares."""
_TOO_DEEP = "nested too deeply to be read"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?(?:[0-9][0-9.eE+-]*|Infinity|NaN)')


def read_json(file: Path, shown: str, repair: str, *, streams: bool = False) -> Any:
    """Return the JSON document in `file`; `shown` is its name in messages, `repair` the advice for a bad one.

    With `streams` it may be an open file of this process, as for `read_bytes`. Raises `ArchcheckError` if it cannot be
    read, is not text or is not JSON.
    """
    try:
        return json_of(read_bytes(file, streams=streams))
    except IsADirectoryError:
        raise ArchcheckError(f"{shown} is a folder, not a JSON file; name a file in it") from None
    except OSError as error:
        raise ArchcheckError(f"{shown} cannot be read: {error.strerror}; check the path and its permissions") from None
    except ValueError as error:
        raise ArchcheckError(f"{shown} is {error}; {repair}") from None


def json_of(data: bytes, *, numbers: bool = True) -> Any:
    """Return the JSON document in the bytes of a file, at most `DEEPEST` levels deep and with finite numbers only.

    Without `numbers`, each number is the text that stands there, and may be infinite or none. Raises `ValueError` for
    anything else. The message continues "it is ...".
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not text: byte 0x{error.object[error.start]:02x} at {error.start} is not UTF-8") from None
    try:
        document = json.loads(
            text,
            parse_int=_integer if numbers else str,
            parse_float=_finite if numbers else str,
            parse_constant=_refuse if numbers else str,
        )
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
    """Return the line of a number that is not in a string."""
    found = next((token for token in _TOKENS.finditer(text) if token.group() == word), None)
    return text.count("\n", 0, found.start() if found else 0) + 1


def is_deep(document: Any) -> bool:
    """Whether the lists and tables of a document are nested more than `DEEPEST` deep."""
    level = [document]
    for _ in range(DEEPEST + 1):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [each for values in inner for each in values]
    return bool(level)
