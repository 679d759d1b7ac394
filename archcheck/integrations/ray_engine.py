"""Do tasks on a Ray cluster: the one at `RAY_ADDRESS`, or a new one on this machine that ends with the command."""

from __future__ import annotations

import io
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO, cast

from archcheck.foundation.errors import ArchcheckError, described
from archcheck.foundation.interruptions import uninterrupted
from archcheck.foundation.words import quote
from archcheck.workers.remote_worker import Engine, NodeLost

_REACH = 10.0
"""Seconds to wait for an answer from the address of a cluster."""
_LOOK = 5.0
"""Seconds between two looks at the head of the cluster."""
_SILENCE = 30.0
"""Seconds without an answer of the head after which the cluster is given up. After a minute, Ray would end this process
with exit code 1, which means a broken contract.
"""
_ADDRESS = re.compile(r"(?:ray://)?(?P<host>[^:/\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5})")


@contextmanager
def ray_engine(jobs: int | None = None) -> Iterator[Engine]:
    """Yield the engine. `jobs` is the number of CPUs of a cluster that is started here; all by default.

    Raises `ArchcheckError` if the cluster at `RAY_ADDRESS` cannot be reached or is of another version.
    """
    address = os.environ.get("RAY_ADDRESS", "").strip()
    if address and address not in ("auto", "local"):
        _reach(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here reports to nobody
    if address not in ("", "local"):
        # What listens at the address may be no Ray, and Ray would try 20 times for up to 40 s each.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    import ray

    started = address in ("", "local")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    settings: dict[str, Any] = {"include_dashboard": False, "num_cpus": jobs} if started else {}
    if not address.startswith("ray://"):
        settings["job_config"] = _job_config()
    try:
        ray.init(address="local" if started else address, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except Exception as error:
        where = "cannot be started here" if started else f"at RAY_ADDRESS {quote(address)} cannot be used"
        raise ArchcheckError(f"a Ray cluster {where}: {described(error)}") from None
    try:
        for number, handler in handlers.items():  # Ray sets its own
            with suppress(ValueError):  # only the main thread may
                signal.signal(number, handler)
        cpus = int(ray.cluster_resources().get("CPU", 0))
        with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
            executor = RayExecutor()
            with _watched(
                executor, "" if ray.util.client.ray.is_connected() else ray.get_runtime_context().gcs_address
            ):
                yield Engine(name="ray", executor=executor, slots=max(1, cpus))
    finally:
        with uninterrupted(), redirect_stdout(io.StringIO()):  # Ray prints what it has held back
            ray.shutdown()


def _job_config() -> Any:
    """Return settings by which nodes do not import from the current folder: a `types.py` there is not Python's."""
    from ray.job_config import JobConfig

    config = JobConfig()
    config._runtime_env_has_working_dir = lambda: True
    return config


class _WithoutRay:
    """Standard output without what the threads of Ray print there about lost nodes: the report stands alone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _reach(address: str) -> None:
    """Raise `ArchcheckError` unless something listens at an address. Ray itself would wait for minutes."""
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise ArchcheckError(
            f"RAY_ADDRESS is {quote(address)}, which is no address of a cluster; write HOST:PORT, such as 10.0.0.1:6379"
        )
    if reason := _silence(parts):
        raise ArchcheckError(
            f"no Ray cluster answers at RAY_ADDRESS {quote(address)}: {reason}; start it, or unset RAY_ADDRESS to use "
            "one on this machine"
        )


def _silence(parts: re.Match[str]) -> str:
    """Return why nothing answers at an address; empty if something does."""
    try:
        socket.create_connection((parts["host"].strip("[]"), int(parts["port"])), timeout=_REACH).close()
    except (OSError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


@contextmanager
def _watched(executor: RayExecutor, address: str) -> Iterator[None]:
    """Give up all calls of `executor` when the head of the cluster at `address` is gone."""
    parts = _ADDRESS.fullmatch(address)
    ended = threading.Event()

    def watch(parts: re.Match[str]) -> None:
        last = time.monotonic()
        while not ended.wait(_LOOK):
            if not (reason := _silence(parts)):
                last = time.monotonic()
            elif time.monotonic() - last > _SILENCE:
                executor.give_up(f"the head of the Ray cluster at {address} is gone: {reason}; start it again")
                return

    if parts is not None:
        threading.Thread(target=watch, args=(parts,), name="archcheck-head", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


class RayExecutor(Executor):
    """An executor over the cluster that this process is connected to. A task takes one CPU.

    Ray itself tries nothing again: who submits learns by `NodeLost` that a node or a process is gone.
    """

    def __init__(self) -> None:
        self._remote: dict[Callable[..., Any], Any] = {}
        self._pending: weakref.WeakSet[_RayFuture] = weakref.WeakSet()

    def submit(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Send a call to the cluster. `function` must be importable on all nodes."""
        import ray

        if function not in self._remote:  # Ray sends a function to the cluster once
            self._remote[function] = ray.remote(num_cpus=1, max_retries=0)(function)
        future = _RayFuture(self._remote[function].remote(*args, **named))
        self._pending.add(future)
        return future

    def give_up(self, reason: str) -> None:
        """End all calls that have no result with an `ArchcheckError`."""
        for future in list(self._pending):
            with suppress(InvalidStateError):
                future.set_exception(ArchcheckError(reason))


class _RayFuture(Future[Any]):
    """It stays pending until there is a result, so that it can be cancelled while the task runs."""

    def __init__(self, reference: Any) -> None:
        super().__init__()
        self._reference = reference
        reference.future().add_done_callback(self._settle)

    def cancel(self) -> bool:
        """End the task and its process, if it has not ended yet."""
        import ray

        cancelled = super().cancel()
        if cancelled:
            with suppress(Exception):  # the cluster may be gone
                ray.cancel(self._reference, force=True)
        return cancelled

    def _settle(self, done: Future[Any]) -> None:
        with suppress(InvalidStateError):  # it was cancelled
            if (error := done.exception()) is None:
                self.set_result(done.result())
            else:
                self.set_exception(NodeLost(described(error)) if isinstance(error, _lost()) else error)


def _lost() -> tuple[type[BaseException], ...]:
    from ray import exceptions as known

    return (
        known.LocalRayletDiedError,
        known.NodeDiedError,
        known.ObjectLostError,
        known.OutOfMemoryError,
        known.WorkerCrashedError,
    )
