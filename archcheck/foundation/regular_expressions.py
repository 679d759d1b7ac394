"""Match other people's regular expressions in another process, so that a pattern that never ends can be stopped.

Python matches a pattern in one step. It holds the lock of the interpreter, and no other thread can end it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

MOST = 10_000
"""Matches beyond which a pattern finds anything, and not what it is meant for."""
LARGEST = 1 << 31
"""Bytes that the matching may take: a pattern may keep what it would go back to at every letter."""
_LONGEST = 1e6
_CODE = f"""
import json, re, sys
from itertools import islice
pattern, text, seconds = json.load(sys.stdin.buffer)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # should nobody be left who ends it
    resource.setrlimit(resource.RLIMIT_AS, ({LARGEST}, {LARGEST}))
except (ImportError, OSError, ValueError):
    pass
found = islice(re.finditer(pattern, text, re.MULTILINE), {MOST + 1})
json.dump([(each.start(), *each.span(1)) for each in found], sys.stdout)
"""


class Unmatched(Exception):  # noqa: N818 - it says what came of it
    """A pattern whose matches could not be found; the text goes on after `the pattern`."""


def matches(pattern: str, text: str, limit: float) -> Sequence[tuple[int, int, int]]:
    """Return where each match of a pattern with one group begins, and where its group begins and ends.

    Both ends are -1 where the group took no part. Raises `Unmatched` when that takes more than `limit` seconds, more
    memory than there is, or finds more than `MOST`.
    """
    if not re.compile(pattern, re.MULTILINE).groups:
        raise Unmatched("has no group")
    command, limit = [sys.executable, "-I", "-S", "-c", _CODE], min(limit, _LONGEST)
    asked = json.dumps([pattern, text, int(limit) + 2]).encode()
    try:
        done = subprocess.run(command, input=asked, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise Unmatched(f"was still being matched after {limit:g} s") from None
    except OSError as error:
        raise Unmatched(f"could not be matched: no process could be started ({error.strerror})") from None
    if done.returncode:
        raise Unmatched(f"could not be matched: the process for it ended with exit code {done.returncode}")
    found = [(start, first, last) for start, first, last in json.loads(done.stdout)]
    if len(found) > MOST:
        raise Unmatched(f"matches more than {MOST:,} places")
    return found
