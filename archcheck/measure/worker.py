"""The worker process: load a subject, measure it, send back facts. Torch and the subject live here only.

The worker imports torch once and forks a child for each request, so that a subject finds nothing of the one
before it: no modules, no patches, no defaults. The child answers over a pipe of its own; only the worker writes to
the parent, and it ends the child with all that the child started. Requests and replies are JSON, one a line.
Everything that the subject prints goes to standard error, and it finds an empty standard input.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from archcheck.measure.reads import Reads

Send = Callable[[Mapping[str, Any]], None]

_POLL = 0.05
"""Seconds between two looks at whether the child lives; its pipe may be held open by what it started."""


def main(requests: int, replies: int, *, forks: bool) -> NoReturn:
    """Answer requests until the parent closes its end; without `forks` in this very process."""
    os.dup2(2, 1)  # a print of the subject is not part of the report
    if forks:
        _import_torch()
        # From here on there may be a child to end first: the end of the requests tells when.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Unbuffered, so that whatever comes after a request stays in the pipe and can be waited for.
    with contextlib.suppress(BrokenPipeError), os.fdopen(requests, "rb", buffering=0) as lines:
        while line := lines.readline():
            if forks:
                _serve(line, requests, replies)
            else:
                _answer(line, replies)
    os._exit(0)


def _import_torch() -> None:
    """Import what every child needs, and start no thread: a fork would lose it."""
    with contextlib.suppress(Exception):  # a child meets the same error, and answers with it
        import archcheck.measure.load
        import archcheck.measure.model
        import archcheck.measure.record
        import archcheck.measure.train
        import archcheck.measure.trial  # noqa: F401
    gc.freeze()  # what torch made is never garbage: to look through it takes longer than to measure most networks


def _serve(line: bytes, requests: int, replies: int) -> None:
    """Let a child answer; pass on what it says, or how it died, when nothing of it is left."""
    child, answers = _fork(line, requests, replies)
    answer = b""
    try:
        for message in _messages(child, answers, requests):
            if "progress" not in json.loads(message):
                answer = message
                break
            _write(replies, message)
    finally:
        code = _end(child)
        os.close(answers)
    _write(replies, answer or _line({"id": json.loads(line)["id"], "died": code}))


def _fork(line: bytes, requests: int, replies: int) -> tuple[int, int]:
    """Return the child that answers the request, and the pipe that its answer comes from."""
    answers, answer = os.pipe()
    child = os.fork()
    if child:
        os.close(answer)
        return child, answers
    code = 1
    try:
        os.setsid()  # a group of its own, which can be killed whole
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in (requests, replies, answers):
            os.close(descriptor)
        _answer(line, answer)
        code = 0
    finally:
        os._exit(code)  # not through the worker's frames, nor what the subject registered for an exit


def _messages(child: int, answers: int, requests: int) -> Iterator[bytes]:
    """Yield the lines that the child writes, until it is dead or the parent has left."""
    watched, buffer, dead = [answers, requests], bytearray(), False
    while True:
        ready, _, _ = select.select(watched, [], [], _POLL)
        if requests in ready:  # its end, as the next request only follows a reply
            return
        if answers in ready:
            chunk = os.read(answers, 1 << 16)
            if not chunk:
                watched.remove(answers)
            buffer += chunk
            if b"\n" in chunk:
                *lines, buffer = buffer.split(b"\n")
                yield from map(bytes, lines)
        elif dead:  # since before the last look at the pipe, so that no answer is missed
            return
        dead = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: int) -> int:
    """Kill the child with its group and return its exit code, negative for a signal."""
    for kill in (os.killpg, os.kill):  # it may not have come to lead a group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _write(descriptor: int, line: bytes) -> None:
    left = memoryview(line + b"\n")  # a slice of it is no copy: an answer may be long
    while left:
        left = left[os.write(descriptor, left) :]


def _line(message: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(message, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_marked(message), allow_nan=False).encode()


def _marked(value: Any) -> Any:
    """Write infinity and NaN, which JSON does not have, as `{"$float": "inf"}`; the parent reads them back."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def _sender(number: int, descriptor: int) -> Send:
    owner = os.getpid()

    def send(message: Mapping[str, Any]) -> None:
        if os.getpid() != owner:  # forked by the subject while it was measured; one answer is enough
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the subject may have put anything there
                stream.flush()
        _write(descriptor, _line({"id": number, **message}))

    return send


def _answer(line: bytes, descriptor: int) -> None:
    from archcheck.errors import SubjectError

    request = json.loads(line)
    send = _sender(request["id"], descriptor)
    try:
        reads = _reads(request)
        answer = _ACTIONS[request["do"]](request, send)
        send({"answer": answer, "read": reads and reads.known()})
    except SubjectError as error:
        send({"error": {"kind": error.kind, "message": str(error)}})
    except MemoryError:
        send({"error": {"kind": "memory", "message": "ran out of memory"}})
    except SystemExit as error:
        send({"error": {"kind": "crash", "message": f"called sys.exit({error.code!r}) while it was measured"}})
    except BaseException as error:
        send({"error": {"kind": "internal", "message": _internal(error)}})


def _reads(request: Mapping[str, Any]) -> Reads | None:
    """Watch what is read from here on, if the answer is to be kept."""
    if "besides" not in request:
        return None
    from archcheck.measure.reads import Reads

    return Reads(request["root"], request["besides"])


def _internal(error: BaseException) -> str:
    import traceback

    traceback.print_exc(file=sys.stderr)
    return f"archcheck itself failed: {type(error).__name__}: {error}; please report this with the lines above"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _measure(request: Mapping[str, Any], send: Send) -> Any:
    import torch

    _one_thread()
    from archcheck.measure.example import example_of
    from archcheck.measure.load import load
    from archcheck.measure.model import measure_model
    from archcheck.measure.record import training_facts
    from archcheck.measure.trial import trial
    from archcheck.parts import RECORD, TRAINING, TRIAL

    root, target = request["root"], request["target"]
    torch.manual_seed(0)  # the weights of an untrained subject, so that a report repeats to the last digit
    meta = bool(request.get("meta"))
    model = load(target, root, request.get("args") or {}, meta=meta)
    needs = request.get("needs") or ()
    facts = measure_model(
        model,
        example=example_of(request.get("input"), root),
        name=request.get("name"),
        target=target,
        root=root,
        needs=needs,
        confirm=True,
    )
    if meta and facts.params.bytes and not facts.subject.meta:
        facts = facts.noting("measured as it is, with memory: it was built before, or names a device of its own")
    encoded = facts.to_json()
    if {TRAINING, RECORD} & {*needs}:
        from archcheck.codec import encode

        spec = request.get("training") or {}
        encoded["training"] = encode(training_facts(model, spec, facts, root, evaluate=TRAINING in needs))
    if TRIAL in needs and not facts.subject.meta:
        encoded["behaviour"].update(trial(request))
    return encoded


def _find(request: Mapping[str, Any], send: Send) -> Any:
    from archcheck.measure.load import find

    return find(request["target"], request["root"])


def _train(request: Mapping[str, Any], send: Send) -> Any:
    _one_thread()
    from archcheck.measure.train import train

    return train(request, lambda progress: send({"progress": progress}))


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any], Send], Any]] = {
    "measure": _measure,
    "find": _find,
    "train": _train,
}
