"""Start the worker process, send it requests, and limit how long it may take.

The worker imports torch and forks a child for each subject. Requests and replies are JSON lines over two pipes. Each
begins with a random number that matches the reply to its request. What the subject prints goes to standard error. A
subject that hangs, crashes or runs out of memory raises a `SubjectError`, and all its processes are ended. Cached
answers need no worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archcheck.facts.option_words import IMPORT_TIMEOUT
from archcheck.foundation.errors import SubjectError, one_line
from archcheck.foundation.platform_support import can_fork, refuse_if_unable
from archcheck.foundation.regular_files import write_all
from archcheck.workers.process_errors import crash, late, unstarted
from archcheck.workers.sandbox import sandboxed

if TYPE_CHECKING:
    from archcheck.workers.cache import Cache

TIMEOUT = 120.0
"""Seconds that one request may take. The import of torch does not count, because no subject can change it."""

_START = (
    "import sys; sys.path.append({root!r}); "
    "from archcheck.measure.process.server import main; main({request}, {reply}, forks={forks}, scratch={scratch!r})"
)
_POLL = 0.1
"""Seconds between two checks of whether the worker is alive: processes of a subject may keep its pipe open."""
_START_LIMIT = 300.0
"""Seconds for a worker to start: importing torch from a network disk is slow."""
_GRACE = 10.0
"""Seconds for the worker to end its child and the processes of the child."""
_IMPORTS = ("find", "measure", "train")
"""The requests that import files of the subject."""
_REPEATABLE = ("find", "measure", "weights")
"""The requests whose answers may be cached."""


class Worker(contextlib.AbstractContextManager["Worker"]):
    """A context manager around at most one worker process, which the first request starts.

    Every request runs in a fresh process: a forked child of the worker, or a new worker where forking is not possible.
    With `sandbox`, the process has no network and can write only to its scratch folder.
    """

    def __init__(
        self,
        *,
        timeout: float = TIMEOUT,
        import_timeout: float = IMPORT_TIMEOUT,
        cache: Cache | None = None,
        sandbox: bool = False,
    ) -> None:
        self.timeout = timeout
        self.import_timeout = import_timeout
        self.cache = cache
        self._sandbox = sandbox
        self._root = ""
        self._scratch: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._replies = -1
        self._buffer = bytearray()
        self._number = ""
        self.is_stale: Callable[[], bool] = lambda: False
        """Whether nobody waits for the answer any more. Then the request ends, and torch stays imported."""
        self._cancelled = False
        self._forks = can_fork()

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Any:
        """Return the answer to `request` from the cache or from the worker. `on_progress` is called with each progress
        report.

        Raises:
            ArchcheckError: nothing can be measured on this system.
            SubjectError: the subject could not be loaded or measured, or the worker hung or died.
        """
        refuse_if_unable()
        if self._sandbox:
            request = {**request, "sandbox": True}  # answers that were cached without a sandbox do not count
        if request["do"] in _IMPORTS:
            request = {**request, "import_timeout": float(request.get("import_timeout") or self.import_timeout)}
        if self.cache is None or request["do"] not in _REPEATABLE:
            return self.exchange(request, timeout, on_progress)["answer"]
        answer = self.cache.lookup(request)
        if answer is None:
            seen = self.cache.seen()
            reply: Mapping[str, Any] = {}
            try:
                watched = {"ignored": self.cache.ignored, "cache": str(self.cache.folder)}
                reply = self.exchange({**request, **watched}, timeout, on_progress)
            finally:
                if reply.get("read") is None:  # it failed, or reads were not seen: it may have written to the cache
                    self.cache.remove_foreign_entries(seen)
            answer = reply["answer"]
            self.cache.keep(request, answer, reply["read"])
        return answer

    def exchange(
        self, request: Mapping[str, Any], timeout: float | None, on_progress: Callable[[Any], None] | None
    ) -> Mapping[str, Any]:
        """Send `request` and return the whole reply: the `answer`, and under `read` what it depends on, if known.

        The cache plays no part. Raises `SubjectError` as `ask` does.
        """
        limit = left = timeout or self.timeout
        while "again" in (reply := self._reply(request, left, limit, on_progress)):
            left = max(left - reply["took"], _POLL)
            request = {**request, "cut": {**request.get("cut", {}), **reply["again"]}}
        if "late" in reply:
            raise late(limit)
        if "died" in reply:
            raise crash(reply["died"])
        if "error" in reply:
            raise SubjectError(reply["error"]["kind"], one_line(reply["error"]["message"]))
        answered: Mapping[str, Any] = reply
        return answered

    def _reply(
        self, request: Mapping[str, Any], left: float, limit: float, on_progress: Callable[[Any], None] | None
    ) -> Mapping[str, Any]:
        """Send `request` to a process that has `left` seconds; return its last reply with the seconds it took."""
        self._number = os.urandom(16).hex()
        try:
            self._send({"id": self._number, **request, "limit": left})
            began = time.monotonic()
            # The worker watches the time itself and survives. This deadline is for a worker that hangs.
            deadline = began + left + (_GRACE if self._forks else 0)
            while "progress" in (reply := self._receive(deadline, limit)):
                if on_progress:
                    on_progress(reply["progress"])
        except _Stale:
            # Any line ends the child that measures, and leaves the worker ready.
            write_all(self._requests, b"\n") if self._forks else self.close()
            raise
        except BaseException:
            self.close()
            raise
        if not self._forks:
            self.close()
        return {**reply, "took": time.monotonic() - began}

    def cancel(self) -> None:
        """End the current request from another thread, and refuse further ones. The waiting thread gets an error."""
        self._cancelled = True

    def close(self) -> None:
        """End the worker and everything it started."""
        process, self._process = self._process, None
        if process is None:
            return
        self._buffer = bytearray()
        os.close(self._requests)
        os.close(self._replies)
        if self._forks:
            # Only the supervisor can end the processes that the worker started. SIGTERM makes it do so.
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_GRACE)
        # The worker leads its own session, so without forks this also reaches the processes of the subject.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self, root: str) -> None:
        import tempfile  # only here: answers from the cache start no worker

        try:
            self._scratch, self._root = tempfile.mkdtemp(prefix="archcheck-"), root
            request_read, self._requests = os.pipe()
            self._replies, reply_write = os.pipe()
        except OSError as error:
            raise unstarted(error.strerror or str(error)) from error
        try:
            self._process = self._opened(request_read, reply_write, self._scratch)
        except OSError as error:
            for descriptor in (self._requests, self._replies):
                os.close(descriptor)
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise unstarted(error.strerror or str(error)) from error
        finally:
            os.close(request_read)
            os.close(reply_write)
        beginning = time.monotonic()
        try:
            while b"ready" not in self._read_line(beginning + _START_LIMIT, _START_LIMIT):
                pass
        except SubjectError as error:
            raise error if error.kind == "cancelled" else unstarted(error.message.partition("; ")[0]) from None

    def _opened(self, requests: int, replies: int, scratch: str) -> subprocess.Popen[bytes]:
        own = str(Path(__file__).resolve().parents[2])
        code = _START.format(root=own, request=requests, reply=replies, forks=self._forks, scratch=scratch)
        command = [sys.executable, "-P", "-c", code]
        return subprocess.Popen(
            sandboxed(command, scratch, [self._root, own]) if self._sandbox else command,
            stdin=subprocess.DEVNULL,
            stdout=_stderr(),
            pass_fds=(requests, replies),
            start_new_session=True,
        )

    def _refuse_if_cancelled(self) -> None:
        if self._cancelled:
            raise SubjectError("cancelled", "was not measured to its end: the run was ended")

    def _send(self, request: Mapping[str, Any]) -> None:
        self._refuse_if_cancelled()
        root = str(request["root"])
        if self._process is None or self._process.poll() is not None or (self._sandbox and root != self._root):
            self.close()
            self._start(root)
        try:
            write_all(self._requests, json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self, deadline: float, limit: float) -> Any:
        """Return the next reply to the last request. All other lines are ignored."""
        beginning = json.dumps({"id": self._number})[:-1].encode()
        while not (line := self._read_line(deadline, limit)).startswith(beginning):
            pass
        return json.loads(line, object_hook=_unmarked)

    def _read_line(self, deadline: float, limit: float) -> bytes:
        assert self._process is not None
        sought = 0
        while (end := self._buffer.find(b"\n", sought)) < 0:
            sought = len(self._buffer)
            dead = self._process.poll() is not None  # before the pipe is read, so that no reply is missed
            left = deadline - time.monotonic()
            self._refuse_if_cancelled()
            if self.is_stale():
                raise _Stale("cancelled", "was not measured to its end: it has changed")
            ready, _, _ = select.select([self._replies], [], [], max(0.0, min(left, _POLL)))
            if ready:
                chunk = os.read(self._replies, 1 << 16)
                if not chunk:
                    raise self._died()
                self._buffer += chunk
            elif dead:
                raise self._died()
            elif left <= 0:
                raise late(limit)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _died(self) -> SubjectError:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=_GRACE)
            return crash(128 - code if self._sandbox and code > 128 else code)  # bubblewrap's exit codes for signals
        except subprocess.TimeoutExpired:
            return SubjectError("crash", "closed the pipe to archcheck and went on running")


class _Stale(SubjectError):  # noqa: N818 - an answer, not a mishap
    """Nobody waits for the answer any more."""


def _unmarked(value: dict[str, Any]) -> Any:
    """Return the number for `{"$float": "inf"}`, because JSON has no infinity and no NaN."""
    return float(value["$float"]) if value.keys() == {"$float"} else value


def _stderr() -> int:
    """Return the descriptor for what the subject prints. A captured stream may have none."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
