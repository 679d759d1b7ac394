"""The worker process: load a subject, measure it, send back facts. Torch and the subject live here only.

Requests and replies are JSON, one a line, over the two pipes whose descriptors the parent passes. Everything
that the subject prints goes to standard error, and it finds an empty standard input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Send = Callable[[Mapping[str, Any]], None]


def main(request: int, reply: int) -> None:
    """Answer requests until the parent closes its end."""
    os.dup2(2, 1)  # a print of the subject is not part of the report

    def send(message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(reply, line) :]

    for line in _lines(request):
        _answer(json.loads(line), send)


def _lines(descriptor: int) -> Iterator[bytes]:
    buffer = b""
    while chunk := os.read(descriptor, 1 << 16):
        buffer += chunk
        *whole, buffer = buffer.split(b"\n")
        yield from whole


def _answer(request: Mapping[str, Any], send: Send) -> None:
    from archcheck.errors import SubjectError

    try:
        send({"answer": _ACTIONS[request["do"]](request, send)})
    except SubjectError as error:
        send({"error": {"kind": error.kind, "message": str(error)}})
    except MemoryError:
        send({"error": {"kind": "memory", "message": "ran out of memory"}})
    except SystemExit as error:
        send({"error": {"kind": "crash", "message": f"called sys.exit({error.code!r}) while it was measured"}})
    except BaseException as error:
        send({"error": {"kind": "internal", "message": _internal(error)}})


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
    from archcheck.measure.load import load
    from archcheck.measure.model import measure_model
    from archcheck.measure.record import training_facts

    root, target = request["root"], request["target"]
    torch.manual_seed(0)  # the weights of an untrained subject, so that a report repeats to the last digit
    model = load(target, root, request.get("args") or {})
    needs = request.get("needs") or ()
    facts = measure_model(
        model,
        example=_example(request.get("input"), root),
        name=request.get("name"),
        target=target,
        root=root,
        needs=needs,
    )
    encoded = facts.to_json()
    if "training" in needs:
        from archcheck.codec import encode

        encoded["training"] = encode(training_facts(model, request.get("training") or {}, facts, root))
    return encoded


def _example(given: Any, root: str) -> Any:
    from archcheck.measure.example import from_specs
    from archcheck.measure.load import load_object

    if given is None:
        return None
    return load_object(given, root)() if isinstance(given, str) else from_specs(given)


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
