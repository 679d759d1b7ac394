"""The seal of a training record: by its `digest`, a reader sees that it was edited after it was written.

It is the SHA-256 of all the rest of the record as JSON with sorted keys and without spaces, so that it does not depend
on how the file is laid out. It keeps honest people from a slip. Whoever means to deceive can seal a forgery: against
that there is only the checkpoint, which is evaluated anew, and training again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "digest"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `record` with the digest of all the rest of it, in place of any that it had."""
    return {**{key: value for key, value in record.items() if key != SEAL}, SEAL: digest_of(record)}


def digest_of(record: Mapping[str, Any]) -> str:
    """Return the digest that belongs to `record`.

    >>> digest_of({"b": 1, "a": 2, "digest": "?"}) == digest_of({"a": 2, "b": 1})
    True
    """
    rest = {key: value for key, value in record.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def tampering(record: Mapping[str, Any]) -> str | None:
    """Return why `record` is not as it was written, `None` if it is."""
    if SEAL not in record:
        return f"the record has no `{SEAL}`, so it may have been edited after it was written"
    if record[SEAL] != digest_of(record):
        return f"the record was edited after it was written (its `{SEAL}` differs)"
    return None
