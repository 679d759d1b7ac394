"""`archcheck train`: run a subject's own trainer in the worker and keep what it gave as a record.

A record is evidence, so nothing is overwritten by accident: a run joins a record of the same model, recipe and
data; a seed that is there already, or a record of anything else, is refused; a run shortened by `--epochs` is
a trial and is written only where it is told to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from archcheck.codec import encode
from archcheck.contract import Contract, SubjectEntry, TrainingSpec
from archcheck.errors import ArchcheckError
from archcheck.files import write_whole
from archcheck.findings import SCHEMA
from archcheck.isolate import Worker

OnEpoch = Callable[[Mapping[str, Any]], None]
_SAME = ("model", "recipe", "data")


def train(
    contract: Contract,
    entry: SubjectEntry,
    *,
    seeds: Sequence[int] = (),
    epochs: int | None = None,
    output: Path | None = None,
    timeout: float = 24 * 3600.0,
    on_epoch: OnEpoch | None = None,
) -> tuple[Mapping[str, Any], Path | None]:
    """Train `entry` once a seed; return the record with these runs, and where it was written (`None`: a trial).

    Without `seeds` it is the first one that the record does not hold yet.

    Raises:
        ArchcheckError: the contract names no trainer or evaluation, the record cannot take these runs, or the
            trainer failed (then the runs that ended before are kept).
    """
    spec = entry.training
    if spec is None or not spec.train or not spec.evaluate:
        raise ArchcheckError(
            f"`{entry.name}` at {entry.where} has no trainer; give `train` and `evaluate` under its `training`"
        )
    recorded = Path(contract.root, spec.record) if spec.record and epochs is None else None
    target = output or recorded
    record = _existing(target)
    known = {run.get("seed") for run in record["runs"]} if record else set()
    chosen = tuple(seeds) or (_free_seed(known),)
    _refuse_known_seeds(known, chosen, target)
    checkpoint = _checkpoint(contract, spec, target, recorded) if record is None else None
    request = {
        "do": "train",
        "target": entry.model,
        "root": str(contract.root),
        "args": dict(entry.args),
        "input": encode(entry.input),
        "training": encode(spec),
        "epochs": epochs or spec.epochs,
    }
    with Worker(timeout=timeout) as worker:
        for seed in chosen:
            save = str(checkpoint) if checkpoint and record is None else None
            watch = _watch(record, target, on_epoch)
            answer = worker.ask({**request, "seed": seed, "save": save}, on_progress=watch)
            record = _with_run(record, answer, checkpoint)
            if target is not None:
                _write(target, record)
    assert record is not None
    return record, target


def _checkpoint(contract: Contract, spec: TrainingSpec, target: Path | None, recorded: Path | None) -> Path | None:
    """Return where the weights of a record's first run go: where the contract says, or beside another output."""
    if target is None or not spec.checkpoint:
        return None
    file = Path(contract.root, spec.checkpoint)
    file = file if target == recorded else target.with_name(file.name)
    if file.exists():
        raise ArchcheckError(
            f"`{file}` exists, and there is no record `{target}` that it belongs to; move it away first"
        )
    return file


def _watch(record: Mapping[str, Any] | None, target: Path | None, on_epoch: OnEpoch | None) -> OnEpoch:
    """Pass epochs on, and stop a run that the record could not take as soon as its first epoch tells."""

    def watch(progress: Mapping[str, Any]) -> None:
        _refuse_another(record, progress["about"], target)
        if on_epoch:
            on_epoch(progress["epoch"])

    return watch


def _existing(target: Path | None) -> dict[str, Any] | None:
    if target is None or not target.exists():
        if target is not None and not target.parent.is_dir():
            raise ArchcheckError(f"there is no folder `{target.parent}` for the record; make it first")
        return None
    try:
        record = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArchcheckError(f"`{target}` is no record ({error}); move it away or choose `--output`") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or not isinstance(record.get("runs"), list):
        raise ArchcheckError(f"`{target}` is no record of schema {SCHEMA}; move it away or choose `--output`")
    return record


def _free_seed(known: Set[Any]) -> int:
    return next(seed for seed in range(len(known) + 1) if seed not in known)


def _refuse_known_seeds(known: Set[Any], seeds: Sequence[int], target: Path | None) -> None:
    again = [seed for seed in seeds if seed in known]
    if again:
        free = _free_seed(known)
        raise ArchcheckError(
            f"`{target}` holds seed {again[0]} already; choose another (`--seed {free}`) or `--output FILE`"
        )


def _refuse_another(record: Mapping[str, Any] | None, about: Mapping[str, Any], target: Path | None) -> None:
    for key in _SAME if record is not None else ():
        if record is not None and not _agree(record.get(key), about.get(key)):
            raise ArchcheckError(f"`{target}` is of another {key}; move it away or choose `--output FILE`")


def _agree(recorded: Any, found: Any) -> bool:
    """Whether two descriptions agree in what both state: a trainer's own record knows no fingerprint."""
    if isinstance(recorded, Mapping) and isinstance(found, Mapping):
        return all(recorded[key] == found[key] for key in recorded.keys() & found.keys())
    return bool(recorded == found)


def _with_run(record: dict[str, Any] | None, answer: Mapping[str, Any], checkpoint: Path | None) -> dict[str, Any]:
    about, run = answer["about"], answer["run"]
    if record is not None:
        elsewhere = {} if about["environment"] == record.get("environment") else {"environment": about["environment"]}
        return {**record, "runs": [*record["runs"], {**run, **elsewhere}]}
    record = {"schema": SCHEMA, **about, "runs": [run]}
    if checkpoint and "checkpoint" in answer:
        last = run["epochs"][-1]["epoch"]
        described = {"file": checkpoint.name, "sha256": answer["checkpoint"], "seed": run["seed"], "epoch": last}
        record["checkpoint"] = described
    return record


def _write(target: Path, record: Mapping[str, Any]) -> None:
    write_whole(target, json.dumps(record, indent=1) + "\n")
