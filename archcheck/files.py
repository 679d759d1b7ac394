"""Writing files whole: a reader, or a power cut, finds what was there before or what is there now, no half of it."""

from __future__ import annotations

import os
from pathlib import Path


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
