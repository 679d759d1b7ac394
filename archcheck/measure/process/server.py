"""The worker process: import torch once, and fork a child for each request, which loads a subject and measures it.

A subject therefore finds no modules, patches or defaults of the subject before it. The child answers over its own pipe.
Only the worker writes to the parent, and it ends the child with everything that the child started. A line is accepted
only if it begins with the random number of the request, so that a subject that writes to all descriptors forges no
answer. Where forking is not possible, the worker itself measures one subject.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from archcheck.foundation.garbage_collection import collection_paused
from archcheck.measure.process.captured_output import OutputPipe
from archcheck.measure.process.worker import answer, line_of, prepared, write

_POLL = 0.05
"""Seconds between two checks of whether the child is alive: processes that it started may keep its pipe open."""
_PATIENCE = 0.5
"""Seconds between two checks of whether the parent is alive."""
_LONGEST = 1 << 28
"""Bytes of a line at most: the facts of every network are shorter."""
_HIGH = 900
"""The number of the child's end of the pipe: higher than the descriptors that code usually closes or writes to."""


def main(requests: int, replies: int, *, forks: bool, scratch: str) -> NoReturn:
    """Answer requests until the parent closes its end. Without `forks`, which need Linux, this process measures.

    Subjects write to the folder `scratch`, which is removed at the end.
    """
    os.dup2(2, 1)  # what the subject prints is not part of the report
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started this may have blocked some signals
    kept: tuple[int, ...] = ()
    if forks:
        from archcheck.measure.process.supervisor import fork_worker

        kept = (fork_worker(requests, replies, scratch), requests, replies)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    _import_torch()
    with contextlib.suppress(BrokenPipeError), os.fdopen(requests, "rb", buffering=0) as lines:
        write(replies, line_of({"ready": True}))
        # Unbuffered, so that what follows a request stays in the pipe and `select` sees it.
        while line := lines.readline():
            if line.isspace():  # it ended the request before, for whose answer nobody waits any more
                continue
            if forks:
                _serve(line, kept, scratch)
            else:
                answer(prepared(line, scratch), replies)
    os._exit(0)


def _end_with_parent(parent: int) -> NoReturn:
    """Wait until the parent is gone, then end this process and its group: without forks there is no supervisor."""
    while os.getppid() == parent:
        time.sleep(_PATIENCE)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _import_torch() -> None:
    """Import what every child needs. This starts no thread, because a fork would lose it."""
    with collection_paused(), contextlib.suppress(Exception):  # a child gets the same error, and answers with it
        import archcheck.measure.artifacts.source_or_file
        import archcheck.measure.evidence.record
        import archcheck.measure.evidence.short_training
        import archcheck.measure.evidence.train
        import archcheck.measure.loading.load
        import archcheck.measure.model  # noqa: F401
        from archcheck.measure.second_look.tampering import seal

        seal()  # before any code of a subject runs
    with contextlib.suppress(Exception):
        from archcheck.measure.subject.memory_trimming import drop_library_code, freeze

        drop_library_code()
        freeze()  # scanning torch's objects takes longer than measuring most networks


def _serve(line: bytes, kept: tuple[int, ...], scratch: str) -> None:
    """Let a child answer. When the child and all its processes have ended, send its answer, or how it ended."""
    from archcheck.measure.process.scratch_folder import remove
    from archcheck.measure.process.supervisor import end_children

    *_, requests, replies = kept
    request = json.loads(line)
    place = _new_folder(scratch)
    output = OutputPipe(endless=request["do"] == "train")
    child, answers = _fork(line, kept, place, output)
    beginning = line_of({"id": request["id"]})[:-1]
    last: bytes | None = None
    late = False
    try:
        for message in _messages(child, answers, requests, output, request.get("limit")):
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
        output.close()
        remove(place)
    write(replies, last or line_of({"id": request["id"], **({"late": True} if late else {"died": code})}))


def _new_folder(scratch: str) -> str:
    """Return a new folder in `scratch`, or elsewhere if a subject has removed `scratch`."""
    try:
        return tempfile.mkdtemp(dir=scratch)
    except OSError:
        return tempfile.mkdtemp(prefix="archcheck-")


def _fork(line: bytes, kept: tuple[int, ...], place: str, output: OutputPipe) -> tuple[int, int]:
    """Return the child that answers the request, and the pipe of its answer."""
    from archcheck.measure.process.supervisor import die_with

    answers, own = os.pipe()
    worker = os.getpid()
    child = os.fork()
    if child:
        os.close(own)
        output.close_write_end()
        return child, answers
    code = 1
    try:
        os.setsid()  # a separate process group, which can be killed as a whole
        die_with(worker)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        output.redirect()
        for descriptor in (*kept, answers):
            os.close(descriptor)
        answer(prepared(line, place), _out_of_reach(own))
        code = 0
    finally:
        os._exit(code)  # do not unwind into the worker's frames, and do not run the subject's exit handlers


def _out_of_reach(descriptor: int) -> int:
    """Return a copy of a descriptor with a high number, if this process may have that many; close the original."""
    with contextlib.suppress(OSError):
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        os.close(descriptor)
        return moved
    return descriptor


def _messages(
    child: int, answers: int, requests: int, output: OutputPipe, limit: float | None
) -> Iterator[bytes | None]:
    """Yield the lines of the child until it is dead or the parent has closed its end. Yield `None` if time is up."""
    deadline = time.monotonic() + limit if limit else float("inf")
    watched, buffer, dead = {answers, requests}, bytearray(), False
    while True:
        ready, _, _ = select.select([*watched, *output.readable_ends()], [], [], _POLL)
        if requests in ready:  # the parent closed its end: it sends the next request only after a reply
            return
        output.forward(ready)
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
        elif dead:  # already before the last read of the pipe, so that no answer is missed
            return
        if time.monotonic() > deadline:
            yield None
            return
        dead = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> int:
    """Kill the child with its group and return its exit code, negative for a signal."""
    for kill in (os.killpg, os.kill):  # the child may not lead a group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
