"""Ask workers on other machines, through any executor of `concurrent.futures`.

Only the measuring happens elsewhere. The cache is asked here, and facts are judged here, so that a report does not
depend on the engine.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import ArchcheckError, SubjectError, described, one_line
from archcheck.workers.node import Task, answer, variables
from archcheck.workers.worker_process import Worker

TRIES = 3
"""How often a request is sent at most: what kills each process that it meets must not wander through a cluster."""
_POLL = 0.2
"""Seconds between two looks at the file of progress."""


class NodeLost(Exception):  # noqa: N818 - a state of the engine, which executors set on a future
    """The node or the process that did a task is gone. The task may be done again elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An executor with its name for people. `slots` is how many tasks it can do at once.

    `lost` names what a lost node was doing, once for each time that it was sent again.
    """

    name: str
    executor: Executor
    slots: int
    lost: list[str] = field(default_factory=list)


class RemoteWorker(Worker):
    """A worker whose process runs wherever `engine` puts it. One request at a time, as for every worker."""

    def __init__(self, engine: Engine, *, sandbox: bool = False, **settings: Any) -> None:
        super().__init__(sandbox=sandbox, **settings)
        self._engine = engine
        self._confined = sandbox
        self._variables = variables()  # now, because an engine may change them while it starts a process
        self._future: Future[dict[str, Any]] | None = None

    def exchange(
        self, request: Mapping[str, Any], timeout: float | None, on_progress: Callable[[Any], None] | None
    ) -> Mapping[str, Any]:
        """Return the reply of a node. A request whose node is lost is sent again, `TRIES` times in all.

        Raises:
            SubjectError: the subject could not be loaded or measured, or it lost each of its nodes.
            ArchcheckError: a node cannot measure for this machine, or the engine failed.
        """
        why = ""
        for _ in range(TRIES):
            with _progress_file(request, on_progress) as progress:
                task = Task(
                    request=request,
                    timeout=timeout or self.timeout,
                    sandbox=self._confined,
                    folder=str(Path.cwd()),
                    progress=progress,
                    variables=self._variables,
                )
                try:
                    return _reply(self._sent(task, on_progress))
                except NodeLost as loss:
                    why = str(loss)
                    self._engine.lost.append(_name(request))
        self._engine.lost.pop()  # the last loss is the error, and nothing was sent again
        raise SubjectError(
            "crash", f"lost the node or the process that worked on it {TRIES} times, at last with {one_line(why)[:300]}"
        )

    def cancel(self) -> None:
        """End the current request from another thread, and refuse further ones. The waiting thread gets an error."""
        super().cancel()
        self.close()

    def close(self) -> None:
        """End the request that is under way, if there is one."""
        if (future := self._future) is not None:
            future.cancel()

    def _sent(self, task: Task, on_progress: Callable[[Any], None] | None) -> dict[str, Any]:
        self._refuse_if_cancelled()
        shown = 0
        try:
            self._future = future = self._engine.executor.submit(answer, task)
            if self._cancelled:  # since the look above
                future.cancel()
            while on_progress and task.progress:
                wait([future], timeout=_POLL)
                done = future.done()  # `wait` does not count one that is cancelled and that nobody was told about
                shown = _show(Path(task.progress), shown, on_progress)
                if done:
                    break
            return future.result()
        except CancelledError:
            self._cancelled = True
            self._refuse_if_cancelled()
            raise
        except (ArchcheckError, NodeLost):
            raise
        except Exception as error:  # anything that an engine of somebody else raises
            raise ArchcheckError(
                f"the engine {self._engine.name} failed: {described(error)}; try again, or with `--on local`"
            ) from None
        finally:
            if self._future is not None and not self._future.done():
                self._future.cancel()
            self._future = None


def _reply(answered: Mapping[str, Any]) -> Mapping[str, Any]:
    if "refused" in answered:
        raise ArchcheckError(answered["refused"])
    if "error" in answered:
        raise SubjectError(answered["error"]["kind"], answered["error"]["message"])
    reply: Mapping[str, Any] = answered["reply"]
    return reply


def _name(request: Mapping[str, Any]) -> str:
    return f"seed {request['seed']}" if "seed" in request else str(request.get("name") or request.get("target"))


@contextlib.contextmanager
def _progress_file(request: Mapping[str, Any], on_progress: object) -> Iterator[str | None]:
    """Yield a file for progress reports in the folder of the contract, which all nodes see; remove it afterwards."""
    if on_progress is None:
        yield None
        return
    try:
        number, file = tempfile.mkstemp(prefix=".archcheck-", suffix=".progress", dir=str(request["root"]))
    except OSError as error:
        raise ArchcheckError(
            f"no file for progress can be written in `{request['root']}`: {error.strerror}; mend that, or train with "
            "`--on local`"
        ) from None
    os.close(number)
    try:
        yield file
    finally:
        Path(file).unlink(missing_ok=True)


def _show(file: Path, begin: int, on_progress: Callable[[Any], None]) -> int:
    """Pass on the whole lines of `file` from byte `begin`, and return where the rest begins."""
    with file.open("rb") as stream:
        stream.seek(begin)
        text = stream.read()
    whole = text[: text.rfind(b"\n") + 1]
    for line in whole.splitlines():
        on_progress(json.loads(line))
    return begin + len(whole)
