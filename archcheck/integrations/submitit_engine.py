"""Do tasks as jobs of submitit: of Slurm where it is installed, else as processes of this machine."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from archcheck.foundation.errors import ArchcheckError, described, one_line
from archcheck.foundation.interruptions import uninterrupted
from archcheck.workers.cache import default_folder
from archcheck.workers.remote_worker import Engine, NodeLost

_START = 600.0
"""Seconds of a job beyond those of its request: Python and torch start on a network disk."""
_POLL = 0.5
"""Seconds between two looks at all jobs."""
_END = 20.0
"""Seconds that cancelled processes of this machine have to end."""
_SLOTS = 1_000
"""Jobs of Slurm that are sent at once, unless `--jobs` says how many. The queue of many clusters takes no more."""

_DEVICES = ("CUDA_VISIBLE_DEVICES",)
_SAFE_PATH = "PYTHONSAFEPATH"


@contextmanager
def submitit_engine(jobs: int | None, timeout: float) -> Iterator[Engine]:
    """Yield the engine. `timeout` is the limit of one request in seconds, which limits the job.

    Tasks and results lie in a folder beside archcheck's cache folder, in the home folder that nodes share.

    Raises `ArchcheckError` if that folder cannot be written.
    """
    import submitit

    try:
        place = default_folder().absolute().parent
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="archcheck-jobs-", dir=place))
    except OSError as error:
        raise ArchcheckError(
            f"no folder for jobs can be made in `{error.filename}`: {error.strerror}; let ARCHCHECK_CACHE_DIR name a "
            "folder that all nodes see"
        ) from None
    with_slurm = shutil.which("srun") is not None
    # With -P, nodes do not import from the current folder: a `types.py` there is not Python's.
    python = f"{shlex.quote(sys.executable)} -P"
    cluster = "slurm" if with_slurm else "local"
    sender = submitit.AutoExecutor(folder=folder / "%j", cluster=cluster, **{f"{cluster}_python": python})
    sender.update_parameters(name="archcheck", timeout_min=math.ceil((timeout + _START) / 60), cpus_per_task=1)
    executor = SubmititExecutor(sender, here=not with_slurm)
    slots = jobs or (_SLOTS if with_slurm else os.cpu_count() or 1)
    try:
        yield Engine(name="submitit", executor=executor, slots=slots)
    finally:
        with uninterrupted():
            executor.shutdown(cancel_futures=True)
            shutil.rmtree(folder, ignore_errors=True)


class SubmititExecutor(Executor):
    """An executor that sends each call as a job of `sender`, an executor of submitit. One thread watches all jobs."""

    def __init__(self, sender: Any, *, here: bool) -> None:
        """With `here`, jobs are processes of this machine, and their numbers are those of their controllers."""
        self._sender = sender
        self._here = here
        # submitit hides all GPUs from a process of this machine that asks for none.
        self._devices = {name: os.environ.get(name) for name in _DEVICES} if here else {}
        self._jobs: list[_JobFuture] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="archcheck-jobs", daemon=True)
        self._watcher.start()

    def submit(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Send a call as a job. `function` must be importable on all nodes."""
        with self._lock, _inherited():  # submitit numbers its jobs without a lock
            job = self._sender.submit(_in_job, self._devices, function, *args, **named)
            future = _JobFuture(job, self._here)
            self._jobs.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop watching. With `cancel_futures`, cancel all jobs and wait until those of this machine have ended."""
        self._ended.set()
        self._watcher.join()
        if cancel_futures:
            deadline = time.monotonic() + _END
            for future in self._jobs:
                future.cancel()
            for future in self._jobs:
                future.wait_for_end(deadline)

    def _watch(self) -> None:
        while not self._ended.wait(_POLL):
            with self._lock:
                jobs = list(self._jobs)
            over = {future for future in jobs if future.look()}
            with self._lock:
                self._jobs = [future for future in self._jobs if future not in over]


class _JobFuture(Future[Any]):
    """It stays pending until there is a result, so that it can be cancelled while the job runs."""

    def __init__(self, job: Any, here: bool) -> None:
        super().__init__()
        self._job = job
        self._here = here

    def cancel(self) -> bool:
        """End the job and its processes, if it has not ended yet."""
        cancelled = super().cancel()
        if cancelled:
            self._end()
        return cancelled

    def _end(self) -> None:
        with suppress(Exception):  # it may be gone
            if not self._here:
                self._job.cancel(check=False)
            elif not self._job.done():
                os.kill(int(self._job.job_id), signal.SIGTERM)

    def look(self) -> bool:
        """Take over the result of a job that is done. Return whether it needs no further look."""
        from submitit.core.utils import FailedJobError

        try:
            if not self._job.done():
                return False
            error = self._job.exception()
            result = None if error else self._job.result()
        except Exception as problem:  # the files of the job, or the commands of Slurm
            error, result = problem, None
        with suppress(InvalidStateError):  # it was cancelled
            if error is None:
                self.set_result(result)
            elif isinstance(
                error, FailedJobError
            ):  # the call itself raised, with a traceback that names why at its end
                self.set_exception(ArchcheckError(f"a job of submitit failed: {_why(error)}; mend that on its node"))
            else:
                self.set_exception(NodeLost(described(error)))
        return not self.cancelled()

    def wait_for_end(self, deadline: float) -> None:
        """Wait until the process of the job has ended, if it runs on this machine."""
        while self._here and not self._job.done() and time.monotonic() < deadline:
            self._end()  # again: submitit ignores it while a job begins
            time.sleep(_POLL)


@contextmanager
def _inherited() -> Iterator[None]:
    """Set what a process of this machine inherits from this one, while it is started.

    Ctrl-C in the terminal is for archcheck, which ends its jobs. The process of submitit that watches over a job does
    not import from the current folder, either.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    given = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        _restore({_SAFE_PATH: given})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _restore(variables: Mapping[str, str | None]) -> None:
    """Set environment variables, and unset those without a value."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _in_job(variables: Mapping[str, str | None], function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call `function` with environment variables, so that SIGTERM ends it: submitit ignores that signal."""
    _restore(variables)
    signal.signal(signal.SIGTERM, _leave)
    return function(*args, **named)


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _why(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return one_line((errors or lines)[-1])[:300]
