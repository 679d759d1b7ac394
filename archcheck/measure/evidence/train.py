"""Run a subject's trainer by its protocol, and report each epoch when it ends.

The trainer is any callable `(model, *, seed, epochs) -> iterator of mappings, one per epoch`. The evaluation is any
callable `(model) -> (correct, total)` and is called once, after the last epoch. A trainer that gets a number of
`epochs` yields exactly as many mappings.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from archcheck.facts.record_seals import OURS
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.words import amount
from archcheck.measure.evidence.record import ImpossibleCountsError, counts, identity
from archcheck.measure.loading.example import example_of
from archcheck.measure.loading.load import load, load_object
from archcheck.measure.model import measure_model
from archcheck.measure.subject.saved_state import tensors


def train(request: Mapping[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
    """Train one seed; return the run, the description of what was trained, and the digest of a requested checkpoint.

    Raises:
        SubjectError: the trainer failed, diverged, or did not yield one mapping per epoch; or the evaluation failed or
            returned no counts.
    """
    root, seed, spec = request["root"], request["seed"], request["training"]
    torch.manual_seed(seed)
    model = load(request["target"], root, request.get("args") or {})
    trainer, evaluate = load_object(spec["train"], root), load_object(spec["evaluate"], root)
    about: dict[str, Any] = {"model": _identity(model, request), "environment": _environment()}
    if request.get("save"):
        _keep_room(model, Path(request["save"]))
    epochs = _epochs(trainer, model, request, about, progress)
    correct, total = _counts(evaluate, model, spec["evaluate"])
    run: dict[str, Any] = {
        "seed": seed,
        "epochs": epochs,
        "selected": "last",
        "test": {"correct": correct, "total": total},
    }
    answer: dict[str, Any] = {"about": about, "run": run}
    if request.get("save"):
        try:
            answer["checkpoint"] = _save(model, Path(request["save"]))
        except Exception as error:  # the run is finished and must not be lost with the weights
            answer["unsaved"] = f"the weights of seed {seed} could not be written: {described(error)}"
    return answer


def _epochs(
    trainer: Any,
    model: torch.nn.Module,
    request: Mapping[str, Any],
    about: dict[str, Any],
    progress: Callable[[Any], None],
) -> list[dict[str, Any]]:
    shown = request["training"]["train"]
    wanted: int | None = request.get("epochs")
    asked = {"epochs": wanted} if wanted else {}
    epochs: list[dict[str, Any]] = []
    try:
        for item in trainer(model, seed=request["seed"], **asked):
            if not isinstance(item, Mapping):
                raise SubjectError(
                    "training", f"`{shown}` yielded a {type(item).__name__}; it must yield one mapping an epoch"
                )
            if len(epochs) == wanted:
                raise SubjectError(
                    "training", f"`{shown}` went on after the {amount(wanted, 'epochs')} it was asked for"
                )
            values = dict(item)
            about.update(_about(values.pop("about", {}), shown))
            epochs.append(_plain(values, len(epochs) + 1))
            progress({"about": about, "epoch": {"seed": request["seed"], **epochs[-1]}})
    except SubjectError:
        raise
    except Exception as error:
        after = amount(len(epochs), "epochs")
        raise SubjectError("training", f"`{shown}` failed after {after}: {described(error)}") from error
    if not epochs:
        raise SubjectError("training", f"`{shown}` yielded nothing; it must yield one mapping an epoch")
    if wanted and len(epochs) < wanted:
        raise SubjectError("training", f"`{shown}` ended after {len(epochs)} of the {wanted} epochs it was asked for")
    return epochs


def _counts(evaluate: Any, model: torch.nn.Module, shown: str) -> tuple[int, int]:
    """Return the numbers of correct and of all test examples."""
    try:
        return counts(evaluate, model)
    except ImpossibleCountsError as error:
        raise SubjectError("training", f"`{shown}` gave {error}") from error
    except Exception as error:
        raise SubjectError("training", f"`{shown}` gave no (correct, total): {described(error)}") from error


def _about(value: Any, shown: str) -> dict[str, Any]:
    """Return what a trainer says about its run, as JSON, without the keys that only archcheck sets."""
    try:
        plain = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SubjectError("training", f"`about` of `{shown}` is not JSON: {described(error)}") from None
    return {key: part for key, part in plain.items() if key not in OURS}


def _plain(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the values of an epoch as JSON values. Raises `SubjectError` for values that are not finite."""
    plain: dict[str, Any] = {"epoch": number}
    for key, value in values.items():
        if hasattr(value, "item"):  # a tensor, or a number of NumPy
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            raise SubjectError("training", f"`{key}` is {value} in epoch {number}: the training diverged")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SubjectError("training", f"`{key}` in epoch {number} is not JSON: {described(error)}") from None
        plain[str(key)] = value
    return plain


def _identity(model: torch.nn.Module, request: Mapping[str, Any]) -> dict[str, Any]:
    example, in_training = (example_of(request.get(key), request["root"]) for key in ("input", "training-input"))
    facts = measure_model(model, example=example, training_example=in_training, confirm=True, call=request.get("call"))
    return {**identity(model, request["target"], request["root"]), "fingerprint": facts.subject.fingerprint}


def _environment() -> dict[str, Any]:
    return {"torch": str(torch.__version__), "python": platform.python_version(), "threads": torch.get_num_threads()}


def _keep_room(model: torch.nn.Module, file: Path) -> None:
    """Write the untrained weights to reserve space on the disk: the trained ones are as large and overwrite them."""
    try:
        _save(model, file)
    except OSError as error:
        raise SubjectError("training", f"`{file}` cannot be written: {error.strerror}; mend that first") from None
    except ModuleNotFoundError:
        raise SubjectError(
            "training", "writing the checkpoint needs `safetensors`; install `archcheck-torch[training]`"
        ) from None
    except (RuntimeError, TypeError, ValueError):
        return  # the parameters of a lazy layer do not exist yet


def _save(model: torch.nn.Module, file: Path) -> str:
    """Overwrite a file with the weights; return their digest. No other process reads the file before."""
    from safetensors.torch import save

    # Copies, because the format does not allow tied weights.
    content = save({name: torch.clone(tensor.detach()).contiguous() for name, tensor in tensors(model).items()})
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as stream:
        stream.write(content)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
    return hashlib.sha256(content).hexdigest()
