"""Match users' regular expressions in another process, so that a pattern that never ends can be stopped.

Python matches a pattern in one step that holds the interpreter lock, so no other thread can stop it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

MOST = 10_000
"""Matches of a pattern at most: a pattern with more is probably wrong."""
LARGEST = 1 << 31
"""Bytes of memory for matching: a pattern may store a backtracking position for every character."""
_LONGEST = 1e6
_CODE = f"""
import json, re, sys
from itertools import islice
pattern, text, seconds = json.load(sys.stdin.buffer)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # in case the parent process has died
    resource.setrlimit(resource.RLIMIT_AS, ({LARGEST}, {LARGEST}))
except (ImportError, OSError, ValueError):
    pass
found = islice(re.finditer(pattern, text, re.MULTILINE), {MOST + 1})
json.dump([(each.start(), *each.span(1)) for each in found], sys.stdout)
"""


class Unmatched(Exception):  # noqa: N818 - the name says what happened
    """A pattern whose matches could not be found. The message continues a sentence that begins with `the pattern`."""


def matches(pattern: str, text: str, limit: float) -> Sequence[tuple[int, int, int]]:
    """Return the start of each match of a pattern with one group, and the start and the end of the group.

    The latter two are -1 if the group did not match. Raises `Unmatched` if matching takes more than `limit` seconds or
    more memory than `LARGEST`, or if there are more than `MOST` matches.
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
