"""SHA-256 digests of bytes, of JSON values and of source files."""

import hashlib
import json
import struct
from pathlib import Path

from torch import Tensor


def of_bytes(content: bytes | bytearray) -> str:
    """Return the hexadecimal SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def of_json(value: object) -> str:
    """Return the digest of `value` as JSON without spaces and with sorted keys."""
    return of_bytes(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def of_integers(values: Tensor) -> str:
    """Return the digest of `(N,)` integers as 64-bit little-endian two's complement."""
    return of_bytes(struct.pack(f"<{len(values)}q", *values.tolist()))


def of_source(path: Path) -> str:
    """Return the digest of a source file, the same for every convention of line ends."""
    return of_bytes(path.read_text(encoding="utf-8").encode())
