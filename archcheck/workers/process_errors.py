"""The errors of a process that gives no answer."""

from __future__ import annotations

import signal

from archcheck.foundation.errors import SubjectError


def unstarted(why: str) -> SubjectError:
    """Return the error of a process that never began, which no subject causes."""
    return SubjectError("environment", f"no process could be started for it: {why}")


def late(limit: float) -> SubjectError:
    """Return the error of an answer that took longer than `limit` seconds."""
    return SubjectError("timeout", f"was not done after {limit:g} s; raise `--timeout` if it needs more")


def crash(code: int) -> SubjectError:
    """Return the error of a process that died; `code` is its exit code, negative for a signal."""
    if code >= 0:
        return SubjectError("crash", f"the process ended itself with exit code {code}")
    names = {each.value: each.name for each in signal.Signals}
    why = "; a system that runs out of memory does that" if code == -signal.SIGKILL else ""
    return SubjectError("crash", f"the process was killed by {names.get(-code, f'signal {-code}')}{why}")
