"""The worker process: import torch once, and fork a child for each request, which loads a subject and measures it.

A subject finds nothing of the one before it: no modules, no patches, no defaults. The child answers over a pipe of
its own; only the worker writes to the parent, and it ends the child with all that the child started. A line counts
only if it begins with the number of the request, which is drawn by lot: what a subject writes to every descriptor that
it finds is no answer. Where no child can be forked, the worker itself measures one subject.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from archcheck.measure.process.captured_output import Prints
from archcheck.measure.process.worker import answer, line_of, settled, write

_POLL = 0.05
"""Seconds between two looks at whether the child lives; its pipe may be held open by what it started."""
_PATIENCE = 0.5
"""Seconds between two looks at whether the parent lives."""
_LONGEST = 1 << 28
"""Bytes of a line; no network has that much to tell."""
_HIGH = 900
"""Where the child's end of the pipe is put: beyond what those close or write to who go through all descriptors."""


def main(requests: int, replies: int, *, forks: bool, scratch: str) -> NoReturn:
    """Answer requests until the parent closes its end; without `forks`, which need Linux, in this very process.

    The folder `scratch` is for what subjects write; it is removed in the end.
    """
    os.dup2(2, 1)  # a print of the subject is not part of the report
    kept: tuple[int, ...] = ()
    if forks:
        from archcheck.measure.process.supervisor import keep

        kept = (keep(requests, replies, scratch), requests, replies)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _import_torch()
    with contextlib.suppress(BrokenPipeError), os.fdopen(requests, "rb", buffering=0) as lines:
        write(replies, line_of({"ready": True}))
        # Unbuffered, so that whatever comes after a request stays in the pipe and can be waited for.
        while line := lines.readline():
            if forks:
                _serve(line, kept, scratch)
            else:
                answer(settled(line, scratch), replies)
    os._exit(0)


def _end_with(parent: int) -> NoReturn:
    """Wait until the parent is gone, then end this process and its group: where none is forked, no keeper does so."""
    while os.getppid() == parent:
        time.sleep(_PATIENCE)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _import_torch() -> None:
    """Import what every child needs, and start no thread: a fork would lose it."""
    with contextlib.suppress(Exception):  # a child meets the same error, and answers with it
        import archcheck.measure.evidence.record
        import archcheck.measure.evidence.short_training
        import archcheck.measure.evidence.train
        import archcheck.measure.loading.load
        import archcheck.measure.model  # noqa: F401
        from archcheck.measure.second_look.tampering import seal

        seal()  # before any subject is there
    with contextlib.suppress(Exception):
        from archcheck.measure.subject.memory_trimming import forget_code

        forget_code()
    gc.freeze()  # what torch made is never garbage: to look through it takes longer than to measure most networks


def _serve(line: bytes, kept: tuple[int, ...], scratch: str) -> None:
    """Let a child answer; pass on what it says, or how it ended, when nothing of it is left."""
    from archcheck.measure.process.scratch_folder import remove
    from archcheck.measure.process.supervisor import end_children

    *_, requests, replies = kept
    request = json.loads(line)
    place = _place(scratch)
    prints = Prints(endless=request["do"] == "train")
    child, answers = _fork(line, kept, place, prints)
    beginning = line_of({"id": request["id"]})[:-1]
    last: bytes | None = None
    late = False
    try:
        for message in _messages(child, answers, requests, prints, request.get("limit")):
            late = message is None
            if message is None or not message.startswith(beginning):
                continue
            if "progress" not in json.loads(message):
                last = message
                break
            write(replies, message)
    finally:
        code = _end(child)
        end_children()
        os.close(answers)
        prints.close()
        remove(place)
    write(replies, last or line_of({"id": request["id"], **({"late": True} if late else {"died": code})}))


def _place(scratch: str) -> str:
    """Return a new folder, elsewhere if a subject has done away with `scratch`."""
    try:
        return tempfile.mkdtemp(dir=scratch)
    except OSError:
        return tempfile.mkdtemp(prefix="archcheck-")


def _fork(line: bytes, kept: tuple[int, ...], place: str, prints: Prints) -> tuple[int, int]:
    """Return the child that answers the request, and the pipe that its answer comes from."""
    from archcheck.measure.process.supervisor import die_with

    answers, own = os.pipe()
    worker = os.getpid()
    child = os.fork()
    if child:
        os.close(own)
        prints.listen()
        return child, answers
    code = 1
    try:
        os.setsid()  # a group of its own, which can be killed whole
        die_with(worker)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        prints.speak()
        for descriptor in (*kept, answers):
            os.close(descriptor)
        answer(settled(line, place), _high(own))
        code = 0
    finally:
        os._exit(code)  # not through the worker's frames, nor what the subject registered for an exit


def _high(descriptor: int) -> int:
    """Move a descriptor out of reach, as far as this process may have so many."""
    with contextlib.suppress(OSError):
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        os.close(descriptor)
        return moved
    return descriptor


def _messages(child: int, answers: int, requests: int, prints: Prints, limit: float | None) -> Iterator[bytes | None]:
    """Yield the lines that the child writes, until it is dead or the parent has left; last `None` if time is up."""
    deadline = time.monotonic() + limit if limit else float("inf")
    watched, buffer, dead = {answers, requests}, bytearray(), False
    while True:
        ready, _, _ = select.select([*watched, *prints.heard()], [], [], _POLL)
        if requests in ready:  # its end, as the next request only follows a reply
            return
        prints.pass_on(ready)
        if answers in ready:
            chunk = os.read(answers, 1 << 16)
            if not chunk:
                watched.discard(answers)
            buffer += chunk
            if b"\n" in chunk:
                *lines, buffer = buffer.split(b"\n")
                yield from map(bytes, lines)
            elif len(buffer) > _LONGEST:
                buffer.clear()
        elif dead:  # since before the last look at the pipe, so that no answer is missed
            return
        if time.monotonic() > deadline:
            yield None
            return
        dead = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> int:
    """Kill the child with its group and return its exit code, negative for a signal."""
    for kill in (os.killpg, os.kill):  # it may not have come to lead a group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
