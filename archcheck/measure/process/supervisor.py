"""The parent process of the worker: it ends every process that a subject started, however the worker ends.

Linux only. The kernel gives orphans to the worker, or to the supervisor when the worker is gone, so that a separate
session hides no process. A process of another user (`sudo`) cannot be ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from typing import NoReturn

from archcheck.measure.process.scratch_folder import remove

_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""The options of prctl(2), from `linux/prctl.h`."""
_GRACE = 5.0
"""Seconds to wait for processes to end after they were killed."""


def fork_worker(requests: int, replies: int, scratch: str) -> int:
    """Fork the worker and return in it, with a descriptor that it must keep open and not pass on.

    The calling process becomes the supervisor and does not return. It waits until the worker has died or the other end
    of `requests` is closed. Then it ends all its descendants, removes the folder `scratch`, and exits like the worker.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _prctl(_CHILD_SUBREAPER, 1)
    ended, alive = os.pipe()
    supervisor = os.getpid()
    worker = os.fork()
    if worker:
        for descriptor in (alive, replies):
            os.close(descriptor)
        _supervise(worker, requests, ended, scratch)
    os.close(ended)
    _prctl(_CHILD_SUBREAPER, 1)
    die_with(supervisor)
    return alive


def _supervise(worker: int, requests: int, ended: int, scratch: str) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: _exit_like(worker, scratch, os.WNOHANG))
    watch = select.poll()
    watch.register(requests, 0)  # only its closing: the worker reads the requests
    watch.register(ended, 0)
    died = ended in dict(watch.poll())
    _exit_like(worker, scratch, 0 if died else os.WNOHANG)


def _exit_like(worker: int, scratch: str, wait: int) -> NoReturn:
    found, status = os.waitpid(worker, wait)
    end_children()
    remove(scratch)
    code = os.waitstatus_to_exitcode(status) if found else 0
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL needs no default
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(max(code, 0))


def die_with(parent: int) -> None:
    """Make the kernel kill this process as soon as `parent`, which forked it, is dead."""
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def end_children() -> None:
    """Kill and reap all descendants of this process, orphans included."""
    deadline = time.monotonic() + _GRACE
    pause = 0.001
    while _has_children() and time.monotonic() < deadline:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(pid: int) -> Iterator[int]:
    """Yield all descendants of a process, parents first."""
    children: dict[int, list[int]] = {}
    for process in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - names, not paths
        with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123
            # The name may contain parentheses; the state and the parent follow the last one.
            parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(process))
    left = [pid]
    while left:
        found = children.get(left.pop(), [])
        yield from found
        left += found


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
