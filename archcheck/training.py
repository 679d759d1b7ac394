"""`archcheck train`: run a subject's own trainer in the worker and keep what it gave as a record.

A record is evidence, so nothing is overwritten by accident: a run joins a record of the same model, recipe and
data; a seed that is there already, or a record of anything else, is refused; a run shortened by `--epochs` is
a trial and is written only where it is told to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from archcheck.codec import encode
from archcheck.contract import Contract, SubjectEntry, TrainingSpec
from archcheck.errors import ArchcheckError
from archcheck.files import json_of, write_whole
from archcheck.isolate import Worker
from archcheck.seals import SCHEMA, misshapen, sealed, tampering

OnEpoch = Callable[[Mapping[str, Any]], None]
Choose = Callable[[Mapping[str, Any] | None], int | None]
"""From the record so far, `None` before the first run, to the next seed; `None` when it is enough."""
DAY = 24 * 3600.0
"""Seconds that one seed may take."""
_SAME = ("model", "recipe", "data")


def train(
    contract: Contract,
    entry: SubjectEntry,
    *,
    seeds: Sequence[int] = (),
    epochs: int | None = None,
    output: Path | None = None,
    timeout: float = DAY,
    on_epoch: OnEpoch | None = None,
) -> tuple[Mapping[str, Any], Path | None]:
    """Train `entry` once a seed; return the record with these runs, and where it was written (`None`: a trial).

    Without `seeds` it is the first one that the record does not hold yet.

    Raises:
        ArchcheckError: the contract names no trainer or evaluation, the record cannot take these runs, or the
            trainer failed (then the runs that ended before are kept).
    """
    spec = trainer_of(entry)
    target = output or (record_file(contract, spec) if epochs is None else None)
    record = read_record(target)
    chosen = tuple(seeds) or (free_seed(record),)
    _refuse_known_seeds(record, chosen, target)
    left = iter(chosen)
    trainer = Trainer(contract=contract, entry=entry, spec=spec, target=target, epochs=epochs, timeout=timeout)
    trained = trainer.run(record, lambda _: next(left, None), on_epoch)
    assert trained is not None
    return trained, target


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """A subject's trainer and the record that takes its runs; `stated` are further keys of the record."""

    contract: Contract
    entry: SubjectEntry
    spec: TrainingSpec
    target: Path | None
    epochs: int | None = None
    timeout: float = DAY
    stated: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self, record: Mapping[str, Any] | None, choose: Choose, on_epoch: OnEpoch | None
    ) -> Mapping[str, Any] | None:
        """Train one seed after the other, writing each before the next begins; return the record with all of them."""
        checkpoint = self._checkpoint() if record is None else None
        request = self._request()
        with Worker(timeout=self.timeout) as worker:
            while (seed := choose(record)) is not None:
                save = str(checkpoint) if checkpoint and record is None else None
                watch = _watch(record, self.target, on_epoch)
                answer = worker.ask({**request, "seed": seed, "save": save}, on_progress=watch)
                record = {**_with_run(record, answer, checkpoint), **self.stated}
                if self.target is not None:
                    _write(self.target, record)
        return record

    def _request(self) -> dict[str, Any]:
        return {
            "do": "train",
            "target": self.entry.model,
            "root": str(self.contract.root),
            "args": dict(self.entry.args),
            "input": encode(self.entry.input),
            "training": encode(self.spec),
            "epochs": self.epochs or self.spec.epochs,
        }

    def _checkpoint(self) -> Path | None:
        """Return where the weights of a record's first run go: where the contract says, or beside another output."""
        if self.target is None or not self.spec.checkpoint:
            return None
        file = Path(self.contract.root, self.spec.checkpoint)
        file = file if self.target == record_file(self.contract, self.spec) else self.target.with_name(file.name)
        if file.exists():
            raise ArchcheckError(
                f"`{file}` exists, and there is no record `{self.target}` that it belongs to; move it away first"
            )
        return file


def trainer_of(entry: SubjectEntry) -> TrainingSpec:
    """Return how a subject is trained. Raises `ArchcheckError` when its contract does not say so."""
    spec = entry.training
    if spec is None or not spec.train or not spec.evaluate:
        raise ArchcheckError(
            f"`{entry.name}` at {entry.where} has no trainer; give `train` and `evaluate` under its `training`"
        )
    return spec


def record_file(contract: Contract, spec: TrainingSpec) -> Path | None:
    """Return the file of the record that the contract names, if it names one."""
    return Path(contract.root, spec.record) if spec.record else None


def _watch(record: Mapping[str, Any] | None, target: Path | None, on_epoch: OnEpoch | None) -> OnEpoch:
    """Pass epochs on, and stop a run that the record could not take as soon as its first epoch tells."""

    def watch(progress: Mapping[str, Any]) -> None:
        _refuse_another(record, progress["about"], target)
        if on_epoch:
            on_epoch(progress["epoch"])

    return watch


def read_record(target: Path | None) -> dict[str, Any] | None:
    """Return the record in a file, `None` where there is none yet. Raises `ArchcheckError` for anything else."""
    if target is None or not target.exists():
        if target is not None and not target.parent.is_dir():
            raise ArchcheckError(f"there is no folder `{target.parent}` for the record; make it first")
        return None
    leave = "move it away or choose `--output`"
    try:
        record = json_of(target.read_bytes())
    except OSError as error:
        raise ArchcheckError(f"`{target}` is no record: it cannot be read ({error.strerror}); {leave}") from None
    except ValueError as error:
        raise ArchcheckError(f"`{target}` is no record: it is {error}; {leave}") from None
    if fault := misshapen(record):
        raise ArchcheckError(f"`{target}` is no record: {fault}; {leave}")
    if edited := tampering(record):  # which another run would seal
        raise ArchcheckError(f"`{target}` takes no run: {edited}; bring it back, {leave}")
    return cast(dict[str, Any], record)


def free_seed(record: Mapping[str, Any] | None) -> int:
    """Return the first seed that the record does not hold yet."""
    known = _seeds(record)
    return next(seed for seed in range(len(known) + 1) if seed not in known)


def _seeds(record: Mapping[str, Any] | None) -> list[Any]:
    return [run.get("seed") for run in record["runs"]] if record else []


def _refuse_known_seeds(record: Mapping[str, Any] | None, seeds: Sequence[int], target: Path | None) -> None:
    known = _seeds(record)
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ArchcheckError(f"seed {twice[0]} is given {seeds.count(twice[0])} times; give each once")
    if again := [seed for seed in seeds if seed in known]:
        free = free_seed(record)
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


def _with_run(record: Mapping[str, Any] | None, answer: Mapping[str, Any], checkpoint: Path | None) -> dict[str, Any]:
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
    write_whole(target, json.dumps(sealed(record), indent=1) + "\n")
