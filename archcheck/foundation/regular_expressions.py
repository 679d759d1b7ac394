"""Match users' regular expressions so that a pattern that never ends can be stopped.

Nearly every pattern is done in a moment. The main thread tries it for a moment itself, because Python looks for signals
while it matches, and a timer sends one. A pattern that takes longer, and every pattern in another thread, which gets no
signals, is matched in another process, which has a limit of time and of memory.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Sequence
from itertools import islice

MOST = 10_000
"""Matches of a pattern at most: a pattern with more is probably wrong."""
LARGEST = 1 << 31
"""Bytes of memory for matching: a pattern may store a backtracking position for every character."""
_LONGEST = 1e6
_MOMENT = 0.1
"""CPU seconds for which the main thread tries a pattern, more than a process for it takes to start."""
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
    found = _matched_here(pattern, text)
    if found is None:
        found = _matched_elsewhere(pattern, text, min(limit, _LONGEST))
    if len(found) > MOST:
        raise Unmatched(f"matches more than {MOST:,} places")
    return found


class _TooLong(Exception):  # noqa: N818 - it ends a trial, and nobody else sees it
    """The moment is over."""


def _matched_here(pattern: str, text: str) -> list[tuple[int, int, int]] | None:
    """Return the matches, at most one more than `MOST`, or `None` if they are not found in a moment.

    The timer counts the CPU time of this process. If somebody else uses it, it is left alone.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "ITIMER_VIRTUAL"):
        return None
    if any(signal.getitimer(signal.ITIMER_VIRTUAL)) or signal.getsignal(signal.SIGVTALRM) is None:
        return None
    trying = True

    def stop(number: int, frame: object) -> None:
        if trying:  # a signal that comes late must not end anything else
            raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, _MOMENT)
        found = [(each.start(), *each.span(1)) for each in islice(re.finditer(pattern, text, re.MULTILINE), MOST + 1)]
        trying = False
        return found
    except (_TooLong, MemoryError):
        trying = False
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _matched_elsewhere(pattern: str, text: str, limit: float) -> list[tuple[int, int, int]]:
    """Return what another process finds, at most one more than `MOST`. Raises `Unmatched` if it finds nothing out."""
    import subprocess

    command = [sys.executable, "-I", "-S", "-c", _CODE]
    asked = json.dumps([pattern, text, int(limit) + 2]).encode()
    try:
        done = subprocess.run(command, input=asked, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise Unmatched(f"was still being matched after {limit:g} s") from None
    except OSError as error:
        raise Unmatched(f"could not be matched: no process could be started ({error.strerror})") from None
    if done.returncode:
        raise Unmatched(f"could not be matched: the process for it ended with exit code {done.returncode}")
    return [(start, first, last) for start, first, last in json.loads(done.stdout)]
