"""`archcheck train`: run a subject's own trainer in the worker and keep what it gave as a record.

A record is evidence, so nothing is overwritten by accident: a run joins a record of the same model, recipe and
data; a seed that is there already, or a record of anything else, is refused; a run shortened by `--epochs` is
a trial and is written only where it is told to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archcheck.codec import encode
from archcheck.contract import Contract, SubjectEntry
from archcheck.errors import ArchcheckError
from archcheck.findings import SCHEMA
from archcheck.isolate import Worker

OnEpoch = Callable[[Mapping[str, Any]], None]
_SAME = ("model", "recipe", "data")


def train(
    contract: Contract,
    entry: SubjectEntry,
    *,
    seeds: Sequence[int] = (0,),
    epochs: int | None = None,
    output: Path | None = None,
    timeout: float = 24 * 3600.0,
    on_epoch: OnEpoch | None = None,
) -> tuple[Mapping[str, Any], Path | None]:
    """Train `entry` once a seed; return the record of these runs, and where it was written (`None`: a trial).

    Raises:
        ArchcheckError: the contract names no trainer or evaluation, the record cannot take these runs, or the
            trainer failed (then the runs that ended before are kept).
    """
    spec = entry.training
    if spec is None or not spec.train or not spec.evaluate:
        raise ArchcheckError(
            f"`{entry.name}` has no trainer; give `train` and `evaluate` in [{entry.name}.training] at {entry.where}"
        )
    target = output or (Path(contract.root, spec.record) if spec.record and epochs is None else None)
    record = _existing(target)
    _refuse_known_seeds(record, seeds, target)
    with Worker(timeout=timeout) as worker:
        for seed in seeds:
            answer = worker.ask(_request(contract, entry, seed, epochs, record, target), on_progress=on_epoch)
            record = _with_run(record, answer, target)
            if target is not None:
                _write(target, record)
    assert record is not None
    return record, target


def _request(
    contract: Contract,
    entry: SubjectEntry,
    seed: int,
    epochs: int | None,
    record: Mapping[str, Any] | None,
    target: Path | None,
) -> dict[str, Any]:
    first = record is None and target is not None
    checkpoint = entry.training.checkpoint if entry.training else None
    save = None
    if first and target is not None:
        save = str(target.parent / Path(checkpoint or "checkpoint.safetensors").name)
    return {
        "do": "train",
        "target": entry.model,
        "root": str(contract.root),
        "args": dict(entry.args),
        "training": encode(entry.training),
        "seed": seed,
        "epochs": epochs or (entry.training.epochs if entry.training else None),
        "save": save,
    }


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


def _refuse_known_seeds(record: Mapping[str, Any] | None, seeds: Sequence[int], target: Path | None) -> None:
    known = {run.get("seed") for run in record["runs"]} if record else set()
    again = [seed for seed in seeds if seed in known]
    if again:
        free = next(seed for seed in range(len(known) + 1) if seed not in known)
        raise ArchcheckError(
            f"`{target}` holds seed {again[0]} already; choose another (`--seed {free}`) or `--output FILE`"
        )


def _with_run(record: dict[str, Any] | None, answer: Mapping[str, Any], target: Path | None) -> dict[str, Any]:
    about, run = answer["about"], answer["run"]
    if record is None:
        record = {"schema": SCHEMA, **about, "runs": []}
        if "checkpoint" in answer:
            record["checkpoint"] = {
                "sha256": answer["checkpoint"], "seed": run["seed"], "epoch": run["epochs"][-1]["epoch"],
            }  # fmt: skip
    for key in _SAME:
        if record.get(key) != about.get(key):
            raise ArchcheckError(f"`{target}` is of another {key}; move it away or choose `--output FILE`")
    return {**record, "runs": [*record["runs"], run]}


def _write(target: Path, record: Mapping[str, Any]) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(target)
