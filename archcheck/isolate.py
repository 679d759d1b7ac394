"""The parent's end of the worker: start it, ask it, and never wait for it longer than agreed.

The worker is a process of its own that imports torch and the subject. Requests and replies are JSON lines
over two pipes of their own; whatever the subject prints goes to standard error. A worker that hangs, crashes or
runs out of memory becomes a `SubjectError` that says so, and the next request starts a new worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from archcheck.errors import SubjectError

TIMEOUT = 120.0
"""Seconds that one request may take, the import of torch included."""

_START = "import sys; sys.path.append({root!r}); from archcheck.measure.worker import main; main({request}, {reply})"


class Worker:
    """A context manager around at most one worker process, started by the first request."""

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._replies = -1
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        timeout: float | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Any:
        """Send `request`, return the worker's answer; `on_progress` sees what it reports on the way.

        Raises:
            SubjectError: the subject could not be loaded or measured, or the worker hung or died.
        """
        limit = timeout or self.timeout
        deadline = time.monotonic() + limit
        try:
            self._send(request)
            while True:
                reply = self._receive(deadline, limit)
                if "progress" not in reply:
                    break
                if on_progress:
                    on_progress(reply["progress"])
        except BaseException:
            self.close()
            raise
        if "error" in reply:
            raise SubjectError(reply["error"]["kind"], reply["error"]["message"])
        return reply["answer"]

    def close(self) -> None:
        """End the worker and everything it started."""
        process, self._process = self._process, None
        if process is None:
            return
        # The worker leads a session of its own, so this reaches what the subject forked, too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(self._requests)
        os.close(self._replies)
        self._buffer = b""

    def _start(self) -> None:
        request_read, self._requests = os.pipe()
        self._replies, reply_write = os.pipe()
        root = str(Path(__file__).resolve().parent.parent)
        code = _START.format(root=root, request=request_read, reply=reply_write)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=_stderr(),
            pass_fds=(request_read, reply_write),
            start_new_session=True,
        )
        os.close(request_read)
        os.close(reply_write)

    def _send(self, request: Mapping[str, Any]) -> None:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
        line = json.dumps(request).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._requests, line) :]
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self, deadline: float, limit: float) -> Any:
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self._replies], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise SubjectError("timeout", f"was not done after {limit:g} s; raise `--timeout` if it needs more")
            chunk = os.read(self._replies, 1 << 16)
            if not chunk:
                raise self._died()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def _died(self) -> SubjectError:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return SubjectError("crash", "closed the pipe to archcheck and went on running")
        if code < 0:
            return SubjectError("crash", f"the process was killed by {signal.Signals(-code).name}")
        return SubjectError("crash", f"the process ended itself with exit code {code}")


def _stderr() -> int:
    """Return the descriptor that the subject's prints go to; captured streams may have none."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
