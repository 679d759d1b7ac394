"""Run a command on a project of hostile subjects; collect its output and what it leaves."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli_samples import environment
from tests.workers.hostile.hostile_subjects import write_project

_MEMORY = 'ulimit -d 4194304 && exec "$@"'
"""Limits a run to four gigabytes, so that a subject that asks for a hundred fails on machines of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The end of a command; `strays` are the processes and `left` the files that remain."""

    code: int
    out: str
    error: str
    strays: tuple[str, ...]
    left: tuple[str, ...]


def run(folder: Path, command: Sequence[str], **changes: str) -> Run:
    """Write the project into `folder`, run a command there, and look for what it leaves."""
    project, temporary = folder / "project", folder / "temporary"
    for each in (project, temporary):
        each.mkdir()
    write_project(project)
    before = _files(project)
    mark = uuid.uuid4().hex
    done = subprocess.run(
        ["sh", "-c", _MEMORY, "sh", *command],
        cwd=project,
        env=environment(TMPDIR=str(temporary), HOSTILE_RUN=mark, **changes),
        capture_output=True,
        check=False,
        timeout=1200,
    )
    out, error = (each.decode(errors="replace") for each in (done.stdout, done.stderr))
    left = (*sorted(_files(project) - before), *sorted(_files(temporary)))
    return Run(code=done.returncode, out=out, error=error, strays=tuple(_marked(mark)), left=left)


def _files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


def _marked(mark: str) -> list[str]:
    """Return the command lines of the processes with a mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOSTILE_RUN={mark}".encode() in (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes()
                found.append(f"{process.name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found
