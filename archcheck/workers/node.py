"""What runs on another machine: measure one subject, or train one seed, and return the reply.

A task is small: the request that a worker gets through its pipe, and what this machine must have in common with the
one that asks. The subject's files do not travel. Both machines see them in the same folder.
"""

from __future__ import annotations

import atexit
import json
import os
import platform
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from archcheck.foundation.errors import ArchcheckError, SubjectError
from archcheck.foundation.words import quote
from archcheck.workers import sandbox
from archcheck.workers.environment import installed_folders, packages, versions
from archcheck.workers.worker_process import Worker

_VARIABLE = re.compile(
    r"(?!PYTHON(HOME|EXECUTABLE)$)(ATEN|CUBLAS|CUDNN|DNNL|KMP|MKL|NVIDIA_TF32|OMP|ONEDNN|PYTHON|PYTORCH|TORCH).*"
)
"""Environment variables that change what is imported or computed. Engines set some of them themselves. Where Python
itself lies may differ between machines.
"""

_versions = cache(versions)
_packages = cache(packages)


def variables() -> dict[str, str]:
    """Return the environment variables that a task takes to its node."""
    return {name: value for name, value in os.environ.items() if _VARIABLE.fullmatch(name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A request to a worker on another machine.

    `folder` is the current folder of the command. `versions` and `packages` are those of the machine that asks.
    `progress` is the file for progress reports, a JSON line each. The seconds of `timeout` begin on the node.
    """

    request: Mapping[str, Any]
    timeout: float
    sandbox: bool = False
    folder: str
    progress: str | None = None
    versions: Mapping[str, str] = field(default_factory=_versions)
    packages: str = field(default_factory=_packages)
    variables: Mapping[str, str] = field(default_factory=variables)


def answer(task: Task) -> dict[str, Any]:
    """Do a task, and return the reply of the worker under `reply`.

    An error of the subject is returned under `error`, with its kind. What makes this machine useless for the whole run
    is returned under `refused`. Both are plain values, so that an engine needs no class of archcheck to carry them.
    """
    try:
        _refuse_if_different(task)
        _adopt(task)
        return {"reply": _exchange(task)}
    except SubjectError as error:
        return {"error": {"kind": error.kind, "message": error.message}}
    except ArchcheckError as error:
        return {"refused": str(error)}


def end_idle_workers() -> None:
    """End the workers that are kept with torch imported, for the next task in this process."""
    while _idle:
        _idle.pop()[1].close()


_idle: deque[tuple[bool, Worker]] = deque()
"""Workers that are free, each with whether it is confined by a sandbox."""
atexit.register(end_idle_workers)


def _refuse_if_different(task: Task) -> None:
    """Raise `ArchcheckError` if this machine would measure something else than the one that asks."""
    node = f"the node {quote(platform.node())}"
    for name, wanted in task.versions.items():
        if (found := _versions().get(name)) != wanted:
            raise ArchcheckError(
                f"{node} has {found} as {name}, and this machine {wanted}; install the same on all nodes"
            )
    for folder in (task.folder, str(task.request["root"])):
        if not Path(folder).is_dir():
            raise ArchcheckError(
                f"{node} sees no folder {quote(folder)}; put the contract and the models on a file system of all nodes"
            )
    if task.sandbox:
        sandbox.refuse_if_unable()


def _adopt(task: Task) -> None:
    """Take over the current folder and the variables: this process is one of the engine's, started anywhere."""
    if Path.cwd() != Path(task.folder):
        os.chdir(task.folder)
    for name in variables().keys() - task.variables.keys():
        del os.environ[name]
    os.environ.update(task.variables)


def _exchange(task: Task) -> dict[str, Any]:
    request = dict(task.request)
    if "ignored" in request:
        request["ignored"] = installed_folders()  # this machine's: packages may lie elsewhere here
    worker = _free_worker(task.sandbox)
    try:
        reply = dict(worker.exchange(request, task.timeout, _reporter(task.progress)))
    except SubjectError:
        _idle.append((task.sandbox, worker))  # it survives its subjects, or starts again
        raise
    except BaseException:
        worker.close()
        raise
    _idle.append((task.sandbox, worker))
    if task.packages != _packages():
        reply["read"] = None  # an answer that other packages gave is not to be cached where it was asked for
    return reply


def _free_worker(confined: bool) -> Worker:
    for _ in range(len(_idle)):
        try:
            kept, worker = _idle.popleft()
        except IndexError:  # another thread took it
            break
        if kept == confined:
            return worker
        _idle.append((kept, worker))
    return Worker(sandbox=confined)


def _reporter(file: str | None) -> Callable[[Any], None] | None:
    if file is None:
        return None

    def report(progress: Any) -> None:
        # Opened each time, because other machines see what was written when a file is closed.
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(progress) + "\n")

    return report
