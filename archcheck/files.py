"""Files written whole, so that a reader finds what was there before or what is there now, and JSON read with care."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from archcheck.errors import ArchcheckError


def write_whole(file: Path, content: str | bytes) -> None:
    """Write `file`, text as UTF-8, whole or not at all; a link is followed to the file that it names.

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
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read_json(file: Path, shown: str, repair: str) -> Any:
    """Return the JSON document in `file`; `shown` is its name for people, `repair` what to do about a bad one.

    Raises `ArchcheckError` in one line when it cannot be read, is no text or no JSON.
    """
    try:
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except IsADirectoryError:
        raise ArchcheckError(f"{shown} is a folder, not a JSON file; name a file in it") from None
    except OSError as error:
        raise ArchcheckError(f"{shown} cannot be read: {error.strerror}; check the path and its permissions") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ArchcheckError(f"{shown} is no text: byte 0x{byte:02x} at {error.start} is not UTF-8; {repair}") from None
    except RecursionError:
        raise ArchcheckError(f"{shown} is nested too deeply to be read; {repair}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ArchcheckError(f"{shown} is damaged: not JSON at {where} ({error.msg.lower()}); {repair}") from None
    except ValueError as error:  # a number with more digits than Python converts
        raise ArchcheckError(f"{shown} is damaged: {error}; {repair}") from None
