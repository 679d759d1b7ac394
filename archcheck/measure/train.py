"""Run a subject's trainer by its protocol and report each epoch as it ends.

The trainer is any callable `(model, *, seed, epochs) -> iterator of mappings, one an epoch`; the evaluation is
any callable `(model) -> (correct, total)` and is called once, after the last epoch.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from archcheck.errors import SubjectError, described
from archcheck.files import write_whole
from archcheck.measure.example import example_of
from archcheck.measure.load import load, load_object
from archcheck.measure.model import measure_model
from archcheck.measure.record import identity


def train(request: Mapping[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
    """Train one seed; return the run, what it is a run of, and the digest of the checkpoint if one was asked for.

    Raises:
        SubjectError: the trainer failed, yielded something else than mappings, or yielded nothing.
    """
    root, seed, spec = request["root"], request["seed"], request["training"]
    torch.manual_seed(seed)
    model = load(request["target"], root, request.get("args") or {})
    trainer, evaluate = load_object(spec["train"], root), load_object(spec["evaluate"], root)
    about: dict[str, Any] = {"model": _identity(model, request), "environment": _environment()}
    epochs = _epochs(trainer, model, request, about, progress)
    correct, total = evaluate(model)
    run: dict[str, Any] = {
        "seed": seed,
        "epochs": epochs,
        "selected": "last",
        "test": {"correct": int(correct), "total": int(total)},
    }
    answer: dict[str, Any] = {"about": about, "run": run}
    if request.get("save"):
        answer["checkpoint"] = _save(model, Path(request["save"]))
    return answer


def _epochs(
    trainer: Any,
    model: torch.nn.Module,
    request: Mapping[str, Any],
    about: dict[str, Any],
    progress: Callable[[Any], None],
) -> list[dict[str, Any]]:
    shown = request["training"]["train"]
    asked = {"epochs": request["epochs"]} if request.get("epochs") else {}
    epochs: list[dict[str, Any]] = []
    try:
        for item in trainer(model, seed=request["seed"], **asked):
            if not isinstance(item, Mapping):
                raise SubjectError(
                    "training", f"`{shown}` yielded a {type(item).__name__}; it must yield one mapping an epoch"
                )
            values = dict(item)
            about.update(values.pop("about", {}))
            epochs.append(_plain(values, len(epochs) + 1))
            progress({"about": about, "epoch": {"seed": request["seed"], **epochs[-1]}})
    except SubjectError:
        raise
    except Exception as error:
        raise SubjectError("training", f"`{shown}` failed after {len(epochs)} epochs: {described(error)}") from error
    if not epochs:
        raise SubjectError("training", f"`{shown}` yielded nothing; it must yield one mapping an epoch")
    return epochs


def _plain(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return JSON values only; a loss that is not a number ends the run here, not in the record."""
    plain: dict[str, Any] = {"epoch": number}
    for key, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            raise SubjectError("training", f"`{key}` is {value} in epoch {number}: the training diverged")
        plain[str(key)] = value
    return plain


def _identity(model: torch.nn.Module, request: Mapping[str, Any]) -> dict[str, Any]:
    facts = measure_model(model, example=example_of(request.get("input"), request["root"]))
    return {**identity(model, request["target"], request["root"]), "fingerprint": facts.subject.fingerprint}


def _environment() -> dict[str, Any]:
    return {"torch": str(torch.__version__), "python": platform.python_version(), "threads": torch.get_num_threads()}


def _save(model: torch.nn.Module, file: Path) -> str:
    from safetensors.torch import save

    content = save({name: tensor.contiguous() for name, tensor in torch.nn.Module.state_dict(model).items()})
    write_whole(file, content)
    return hashlib.sha256(content).hexdigest()
