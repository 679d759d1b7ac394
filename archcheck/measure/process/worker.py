"""Answer one request: load a subject, measure it, and send facts. Only this process has torch and the subject.

Requests and replies are JSON, one per line. What the subject prints goes to standard error; its standard input is
empty. `server` starts and ends this process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from archcheck.foundation.regular_files import write_all

if TYPE_CHECKING:
    from archcheck.facts.facts import Facts
    from archcheck.measure.artifacts.source_or_file import Opened
    from archcheck.measure.process.file_access import ReadFiles

Send = Callable[[Mapping[str, Any]], None]


def prepared(line: bytes, place: str) -> dict[str, Any]:
    """Return the request of a line, after limiting this process and moving it to a separate folder in `place`.

    A trainer stays in the current folder and without limits, because users want the files that it writes.
    """
    request: dict[str, Any] = json.loads(line)
    if request["do"] == "train":
        return request
    from archcheck.measure.process.limits import limit
    from archcheck.measure.process.scratch_folder import enter_scratch_folder

    limit(place)
    if not _has_folder():  # a worker outlives the folder of an earlier subject, such as a temporary one of a grader
        os.chdir(request["root"])
    here, root = os.getcwd(), os.path.abspath(request["root"])  # noqa: PTH100, PTH109 - as strings
    file = re.match(r".+\.(?:py|ipynb)(?=:|$)", request.get("target", ""))
    beside = [os.path.dirname(os.path.join(root, file[0]))] if file else []  # noqa: PTH118, PTH120
    return {**request, "root": root, "moved": (enter_scratch_folder(place, [root, *beside]), here, place)}


def write(descriptor: int, line: bytes) -> None:
    """Write a line, separated from anything that was written to the descriptor before."""
    write_all(descriptor, b"\n" + line + b"\n")


def line_of(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON."""
    try:
        return json.dumps(message, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_marked(message), allow_nan=False).encode()


def _marked(value: Any) -> Any:
    """Return a value with `{"$float": "inf"}` for infinity and NaN, which JSON lacks. The parent reads them back."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def _sender(number: str, descriptor: int) -> Send:
    owner = os.getpid()

    def send(message: Mapping[str, Any]) -> None:
        if os.getpid() != owner:  # the subject forked while it was measured: only the first process answers
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the subject may have put anything there
                stream.flush()
        write(descriptor, line_of({"id": number, **message}))

    return send


def answer(request: Mapping[str, Any], descriptor: int) -> None:
    """Do what the request asks for, and write the answer or the error."""
    from archcheck.foundation.errors import SubjectError, described

    send = _sender(request["id"], descriptor)
    try:
        import torch

        from archcheck.measure.loading.execution import has_failed
    except Exception as error:  # no code of the subject has run yet
        send({"error": {"kind": "environment", "message": _unusable(error)}})
        return
    try:
        torch.set_num_threads(1)
        reads = _reads(request)
        _bound_imports(request, send)
        found = _ACTIONS[request["do"]](request, send)
        repeatable = not has_failed()  # an import that failed may succeed the next time
        send({"answer": found, "read": reads.known() if reads and repeatable else None})
    except SubjectError as error:
        send({"error": {"kind": error.kind, "message": str(error)}})
    except MemoryError:
        send({"error": {"kind": "memory", "message": "ran out of memory"}})
    except ModuleNotFoundError as error:
        send({"error": {"kind": "internal", "message": _without(error)}})
    except SystemExit as error:
        send({"error": {"kind": "crash", "message": f"called sys.exit({error.code!r}) while it was measured"}})
    except Exception as error:
        if _has_folder():
            send({"error": {"kind": "internal", "message": _internal(error)}})
        else:
            send({"error": {"kind": "crash", "message": "removed the folder that it worked in while it was measured"}})
    except BaseException as error:  # such as KeyboardInterrupt: not an error of archcheck
        send({"error": {"kind": "crash", "message": f"ended with {described(error)} while it was measured"}})


def _bound_imports(request: Mapping[str, Any], send: Send) -> None:
    """Limit the time to import the subject's files to what the request allows.

    When an import takes too long, this process ends, because it may have left modules, threads and handlers. Another
    process starts over and loads only the definitions of that file.
    """
    from archcheck.measure.loading.execution import SETTINGS

    def start_over(file: str, why: str) -> None:
        send({"again": {file: why}})
        os._exit(0)

    SETTINGS.seconds = request.get("import_timeout") or SETTINGS.seconds
    SETTINGS.cut = request.get("cut") or {}
    SETTINGS.start_over = start_over


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except FileNotFoundError:
        return False
    return True


def _reads(request: Mapping[str, Any]) -> ReadFiles | None:
    """Record what is read from now on, if the answer may be cached."""
    if "ignored" not in request:
        return None
    from archcheck.measure.process.file_access import ReadFiles

    return ReadFiles(request["root"], request["ignored"], moved=request.get("moved"))


def _unusable(error: Exception) -> str:
    from archcheck.foundation.errors import described

    if isinstance(error, ModuleNotFoundError):
        return _without(error)
    return f"torch cannot be imported here: {described(error)}; mend the installation"


def _without(error: ModuleNotFoundError) -> str:
    """Return the message for a missing module. What the subject lacks was reported while it was loaded."""
    from archcheck.foundation.platform_support import PACKAGES, not_installed

    return not_installed(error.name) if error.name in PACKAGES else _internal(error)


def _internal(error: BaseException) -> str:
    import traceback

    from archcheck.foundation.errors import described

    with contextlib.suppress(Exception):  # the subject may have put anything there
        traceback.print_exc(file=sys.stderr)
    return f"archcheck itself failed: {described(error)}; please report this with the lines above"


def _measure(request: Mapping[str, Any], send: Send) -> Any:
    from archcheck.measure.artifacts.source_or_file import subject_of
    from archcheck.measure.evidence import record, short_training  # noqa: F401 - before the subject's code runs
    from archcheck.measure.loading.errors import explained
    from archcheck.measure.loading.example import example_of
    from archcheck.measure.model import measure_model
    from archcheck.measure.passes.random_state import seed_torch
    from archcheck.measure.second_look.tampering import watched
    from archcheck.measure.subject.compiled import without_compiler

    without_compiler()
    unaltered = watched(request.get("cache") or "")
    seed_torch(0)  # for the weights of an untrained subject, so that a report repeats to the last digit
    loaded = subject_of(request)
    unaltered()
    with explained(request["target"], loaded.guessed):
        facts = measure_model(
            loaded.model,
            example=loaded.example(),
            training_example=example_of(request.get("training-input"), request["root"]),
            call=request.get("call"),
            name=request.get("name"),
            target=request["target"],
            root=request["root"],
            needs=_needs(request, loaded),
            confirm=True,
            costs=request.get("costs"),
            construction=loaded.construction,
            fresh=lambda: subject_of(request).model,
        )
    encoded = _with_evidence(_as_loaded(facts, loaded, request), loaded.model, request)
    unaltered()
    return encoded


def _needs(request: Mapping[str, Any], loaded: Opened) -> list[str]:
    """Return what is asked for; other counters go by classes of layers, and an exported program has none."""
    from archcheck.facts.calls import CALLS

    return [need for need in request.get("needs") or () if need != CALLS or not loaded.exported]


def _as_loaded(facts: Facts, loaded: Opened, request: Mapping[str, Any]) -> Facts:
    """Return the facts with the notes and the file size from loading."""
    from dataclasses import replace

    if loaded.file_bytes is not None:
        facts = replace(facts, params=replace(facts.params, file_bytes=loaded.file_bytes))
    for note in loaded.notes:
        facts = facts if note in facts.subject.notes else facts.noting(note)
    if request.get("meta") and facts.params.bytes and not facts.subject.meta:
        facts = facts.noting("measured as it is, with memory: it was built before, or names a device of its own")
    return facts


def _with_evidence(facts: Facts, model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts as JSON, with the training record, the checkpoint and the trial that the request needs."""
    from archcheck.facts.records import RECORD, TRAINING, TRIAL
    from archcheck.foundation.json_codec import encode
    from archcheck.measure.evidence.record import training_facts
    from archcheck.measure.evidence.short_training import trial
    from archcheck.measure.subject.memory_trimming import give_back

    encoded, needs = facts.to_json(), {*(request.get("needs") or ())}
    if {TRAINING, RECORD} & needs:
        spec, evaluate = request.get("training") or {}, TRAINING in needs
        encoded["training"] = encode(training_facts(model, spec, facts, request["root"], evaluate=evaluate))
    if TRIAL in needs and not facts.subject.meta:
        give_back()
        encoded["behaviour"].update(trial(request))
    return encoded


def _find(request: Mapping[str, Any], send: Send) -> Any:
    from archcheck.measure.loading.load import find, find_main
    from archcheck.measure.subject.compiled import without_compiler

    without_compiler()
    if request.get("main"):
        return find_main(request["target"], request["root"])
    return find(request["target"], request["root"], careful=bool(request.get("careful")))


def _weights(request: Mapping[str, Any], send: Send) -> Any:
    from archcheck.foundation.json_codec import encode
    from archcheck.measure.artifacts.weights import describe_weights

    return encode(describe_weights(request["target"], request["root"]))


def _train(request: Mapping[str, Any], send: Send) -> Any:
    from archcheck.measure.evidence.train import train
    from archcheck.measure.loading.execution import SETTINGS

    def progress(epoch: Any) -> None:
        SETTINGS.start_over = None  # do not train finished epochs again
        send({"progress": epoch})

    return train(request, progress)


_ACTIONS: Mapping[str, Callable[[Mapping[str, Any], Send], Any]] = {
    "measure": _measure,
    "find": _find,
    "train": _train,
    "weights": _weights,
}
