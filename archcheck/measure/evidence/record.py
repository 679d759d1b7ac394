"""Check whether a training record belongs to the measured model, and evaluate its checkpoint again.

The record states the digest of the model's source, the names and shapes of its state, its parameters and the digest of
the checkpoint, and it is sealed. Each is compared with the current model. If the contract names a function that
describes the recipe and the data, these are compared, too.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from archcheck.facts.facts import Facts
from archcheck.facts.record_seals import misshapen, tampering
from archcheck.facts.records import Training
from archcheck.foundation.errors import SubjectError, described
from archcheck.foundation.json_documents import json_of
from archcheck.foundation.whole_files import read_bytes
from archcheck.foundation.words import LONGEST, quote
from archcheck.measure.loading.load import load_module, load_object
from archcheck.measure.subject import saved_state
from archcheck.measure.subject.module_tree import Tree


def training_facts(
    model: torch.nn.Module, spec: Mapping[str, Any], facts: Facts, root: str, *, evaluate: bool = True
) -> Training:
    """Return the record of `spec` with the results of all checks; with `evaluate`, evaluate its checkpoint, too.

    Raises:
        SubjectError: the contract's `evaluate` or `describe` cannot be imported, or `describe` failed.
    """
    file = spec.get("record")
    record, problem = _read(Path(root, file)) if file else (None, None)
    mismatches: tuple[str, ...] = (problem,) if problem else ()
    if record is not None:
        mismatches = (*_mismatches(record, model, facts, root), *_other_settings(record, spec, root))
    checkpoint = spec.get("checkpoint")
    found = Training(record_file=file, record=record, mismatches=mismatches, checkpoint_file=checkpoint)
    if not evaluate:
        return found
    if not checkpoint:
        return replace(found, checkpoint_problem="the contract names no `checkpoint`")
    if not spec.get("evaluate"):
        return replace(found, checkpoint_problem="the contract names no `evaluate`, so the checkpoint cannot be tried")
    if facts.subject.meta:
        return found
    correct, total, trouble = _evaluate(model, Path(root, checkpoint), checkpoint, spec["evaluate"], record, root)
    return replace(found, checkpoint_problem=trouble, correct=correct, total=total)


def identity(model: torch.nn.Module, target: str, root: str) -> dict[str, Any]:
    """Return the description of a model in a record: class, source file and its digest, parameters, state digest.

    The source is the file that `target` names, because a factory's model may consist of torch's own classes.
    """
    module, _ = load_module(target, root)
    source = Path(module.__file__) if module.__file__ else None
    parameters = {id(tensor): tensor.numel() for _, tensor in Tree(model).parameters()}
    return {
        "class": type(model).__name__,
        "source": source.name if source else None,
        "sha256": None if source is None else text_digest(source),
        "parameters": sum(parameters.values()),
        "state": saved_state.digest(model),
    }


def text_digest(file: Path) -> str:
    """Return the SHA-256 of a source file, the same for all kinds of line ends."""
    return hashlib.sha256(file.read_text(encoding="utf-8").encode()).hexdigest()  # reading turns line ends into "\n"


def _read(file: Path) -> tuple[dict[str, Any] | None, str | None]:
    """Return the record in a file, or the reason why it is not a record; `None` for both if there is no file."""
    try:
        record = json_of(read_bytes(file))
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"the record cannot be read: {error.strerror}"
    except ValueError as error:
        return None, f"the record cannot be read: it is {error}"
    fault = misshapen(record)
    return (None, f"what is there is not a record: {fault}") if fault else (record, None)


def _mismatches(record: Mapping[str, Any], model: torch.nn.Module, facts: Facts, root: str) -> list[str]:
    claimed, actual = record.get("model") or {}, identity(model, facts.subject.target, root)
    edited = tampering(record)
    found = [edited] if edited else []
    if claimed.get("parameters") != facts.params.total:
        found.append(f"the record is of {_size(claimed.get('parameters'))}, this one has {facts.params.total:,}")
    if claimed.get("state") != actual["state"]:
        found.append("the names or shapes of the state differ from those in the record")
    if claimed.get("sha256") != actual["sha256"]:
        found.append(f"`{actual['source']}` is not the source that was trained (its SHA-256 differs from the record's)")
    # The executed structure, whatever files its parts come from. Only a record that archcheck wrote has it.
    if "fingerprint" in claimed and claimed["fingerprint"] != facts.subject.fingerprint:
        found.append("what the model executes differs from what was trained")
    return found


def _other_settings(record: Mapping[str, Any], spec: Mapping[str, Any], root: str) -> Iterator[str]:
    """Yield the first difference between the record and the current code for the recipe and for the data."""
    shown = spec.get("describe")
    if not shown:
        return
    try:
        told = json.loads(json.dumps(load_object(shown, root)()))
    except SubjectError:
        raise
    except Exception as error:
        raise SubjectError("training", f"`{shown}` could not describe the training: {described(error)}") from error
    if not isinstance(told, dict) or not {"recipe", "data"} & told.keys():
        raise SubjectError("training", f"`{shown}` must give a mapping with `recipe` or `data`")
    for key in ("recipe", "data"):
        if key in told and (difference := _difference(record.get(key), told[key], key)):
            yield f"the record is of another {key}: {difference}"


def _difference(recorded: Any, told: Any, name: str) -> str | None:
    """Return how two JSON values first differ, `None` if they are equal. Digests come last: they explain nothing."""
    if not (isinstance(recorded, dict) and isinstance(told, dict)):
        same = recorded == told and isinstance(recorded, bool) is isinstance(told, bool)
        return None if same else f"`{name}` is {_short(recorded)} there, {_short(told)} in the code"
    keys = sorted(recorded.keys() | told.keys(), key=lambda key: ("sha256" in key, key))
    parts = (_difference(recorded.get(key, ...), told.get(key, ...), f"{name}.{key}") for key in keys)
    return next((part for part in parts if part), None)


def _short(value: Any) -> str:
    return "absent" if value is ... else quote(value) if isinstance(value, str) else json.dumps(value)[:LONGEST]


def _chosen(record: Mapping[str, Any] | None, shown: str) -> str | None:
    """Return the reason if the checkpoint is not from the last epoch of its run."""
    stated = (record or {}).get("checkpoint") or {}
    runs = [run for run in (record or {}).get("runs", ()) if isinstance(run, dict)]
    run = next((run for run in runs if run.get("seed") == stated.get("seed")), {})
    epochs = run.get("epochs")
    last = len(epochs) if isinstance(epochs, list) else 0
    if not last or stated.get("epoch") in (None, last):
        return None
    return f"`{shown}` is of epoch {stated['epoch']} of {last}: it was chosen, where the last one counts"


def _size(claimed: object) -> str:
    known = isinstance(claimed, int) and not isinstance(claimed, bool)
    return f"a model with {claimed:,} parameters" if known else "a model of unknown size"


def _evaluate(
    model: torch.nn.Module, file: Path, shown: str, evaluate: str, record: Mapping[str, Any] | None, root: str
) -> tuple[int | None, int | None, str | None]:
    if not file.is_file():
        return None, None, f"there is no checkpoint `{shown}`"
    claimed = ((record or {}).get("checkpoint") or {}).get("sha256")
    if claimed != hashlib.sha256(file.read_bytes()).hexdigest():
        return None, None, f"`{shown}` is not the checkpoint of the record (its SHA-256 differs)"
    if chosen := _chosen(record, shown):
        return None, None, chosen
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise SubjectError(
            "training", "reading the checkpoint needs `safetensors`; install `archcheck-torch[training]`"
        ) from None
    try:
        trained = copy.deepcopy(model)
        saved_state.fill(trained, load_file(file))
        trained.eval()
        correct, total = counts(load_object(evaluate, root), trained)
    except SubjectError:
        raise
    except Exception as error:
        return None, None, f"`{shown}` could not be evaluated: {described(error)}"
    return correct, total, None


class ImpossibleCountsError(ValueError):
    """More correct examples than examples, or no examples."""


def counts(evaluate: Any, model: torch.nn.Module) -> tuple[int, int]:
    """Return the numbers of correct and of all test examples from the subject's `evaluate`.

    Raises `ImpossibleCountsError`, and the errors of the subject.
    """
    correct, total = map(_count, evaluate(model))
    if not 0 <= correct <= total or total == 0:
        raise ImpossibleCountsError(f"{correct:,} correct of {total:,}, which no test set has")
    return correct, total


def _count(value: Any) -> int:
    if (whole := int(value)) != value:
        raise ValueError(f"{value} is not a count")
    return whole
