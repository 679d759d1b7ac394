"""`archcheck train`: run the trainer of a subject in the worker, and write its results to the training record.

A record is evidence, so nothing is overwritten by accident. A run is added only to a record of the same model, recipe
and data. A seed that the record holds already is refused. A run shortened by `--epochs` is a trial, and is written only
to an explicit output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archcheck.contract import Contract, SubjectEntry, TrainingSpec
from archcheck.contract.specifications import called, import_limit
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.json_codec import encode
from archcheck.foundation.words import visible
from archcheck.workers.in_parallel import in_parallel
from archcheck.workers.record_document import free_seed, refuse_mismatch, refuse_stream, seeds_of
from archcheck.workers.record_file import Recording, Tell, recording
from archcheck.workers.worker_process import Worker

OnEpoch = Callable[[Mapping[str, Any]], None]
Choose = Callable[[Mapping[str, Any] | None], int | None]
"""Takes the record so far, `None` before the first run. Returns the next seed, `None` to stop."""
DAY = 24 * 3600.0
"""Seconds that one seed may take."""


def train(
    contract: Contract,
    entry: SubjectEntry,
    *,
    seeds: Sequence[int] = (),
    epochs: int | None = None,
    output: Path | None = None,
    timeout: float = DAY,
    on_epoch: OnEpoch | None = None,
    tell: Tell | None = None,
    workers: Sequence[Worker] = (),
) -> tuple[Mapping[str, Any], Path | None]:
    """Train `entry` once per seed. Return the record with these runs, and the file that holds it (`None` for a trial).

    Without `seeds` it trains the first seed that the record does not hold. It waits while another process adds to the
    record. `tell` is called with a line when it waits, and when it adds a run that could not be saved before. Several
    `workers` train several seeds at a time, and the record is the same: runs are added in the order of `seeds`. By
    default, one worker of its own trains them.

    Raises:
        ArchcheckError: the contract names no trainer or evaluation, the record does not accept these runs, or the
            trainer failed. The runs that ended before are kept.
    """
    spec = trainer_of(entry)
    target = output or (record_file(contract, spec) if epochs is None else None)
    trainer = Trainer(contract=contract, entry=entry, spec=spec, target=target, epochs=epochs, timeout=timeout)
    with trainer.recording(tell) as kept:
        chosen = [seed for seed in seeds if seed != kept.recovered_seed] if seeds else [free_seed(kept.record)]
        _refuse_known_seeds(kept.record, chosen, target)
        with _given_or_own(workers, timeout) as trained_by:
            trainer.run_all(kept, chosen, trained_by, on_epoch)
        assert kept.record is not None
        return kept.record, target


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """The trainer of a subject and the record for its runs. `stated` are further keys of the record."""

    contract: Contract
    entry: SubjectEntry
    spec: TrainingSpec
    target: Path | None
    epochs: int | None = None
    timeout: float = DAY
    stated: Mapping[str, Any] = field(default_factory=dict)

    def recording(self, tell: Tell | None) -> AbstractContextManager[Recording]:
        """Return the record, locked for this process.

        Raises `ArchcheckError` if the contract names a pipe or a device, because a record must be readable. Only an
        explicit output may be one.
        """
        if self.target is not None and self.target == record_file(self.contract, self.spec):
            refuse_stream(self.target)
        return recording(self.target, self._checkpoint(), tell)

    def run(self, kept: Recording, choose: Choose, on_epoch: OnEpoch | None, workers: Sequence[Worker] = ()) -> None:
        """Train one seed after another in the first worker, and save each run before the next begins."""
        with _given_or_own(workers, self.timeout) as (worker, *_):
            while (seed := choose(kept.record)) is not None:
                kept.add(self._train(worker, kept, seed, kept.weights, on_epoch), self.stated)

    def run_all(
        self, kept: Recording, seeds: Sequence[int], workers: Sequence[Worker], on_epoch: OnEpoch | None
    ) -> None:
        """Train as many seeds at a time as there are workers, and save the runs in the order of `seeds`.

        The first one writes the weights, if the record is new. There may be no seed: a run that could not be saved
        before may have been the only one that was asked for.
        """
        jobs = [(seed, None if index else kept.weights) for index, seed in enumerate(seeds)]

        def one(worker: Worker, job: tuple[int, Path | None]) -> Mapping[str, Any]:
            return self._train(worker, kept, *job, on_epoch)

        for answer in in_parallel(workers, jobs, one):
            kept.add(answer, self.stated)

    def _train(
        self, worker: Worker, kept: Recording, seed: int, weights: Path | None, on_epoch: OnEpoch | None
    ) -> Mapping[str, Any]:
        request = {**self._request(), "seed": seed, "save": str(weights) if weights else None}
        answer: Mapping[str, Any] = worker.ask(request, on_progress=_watch(kept.record, self.target, on_epoch))
        return answer

    def _request(self) -> dict[str, Any]:
        return {
            "do": "train",
            "target": self.entry.model,
            "root": str(self.contract.root),
            "args": dict(self.entry.args),
            "input": encode(self.entry.input),
            "training": encode(self.spec),
            "epochs": self.epochs or self.spec.epochs,
            **import_limit(self.entry),
            **called(self.entry),
        }

    def _checkpoint(self) -> Path | None:
        """Return the file for the weights of the first run: the one in the contract, or one beside another output."""
        if self.target is None or not self.spec.checkpoint:
            return None
        file = Path(self.contract.root, self.spec.checkpoint)
        return file if self.target == record_file(self.contract, self.spec) else self.target.with_name(file.name)


@contextmanager
def _given_or_own(workers: Sequence[Worker], timeout: float) -> Iterator[Sequence[Worker]]:
    """Yield the workers, or one that is ended afterwards."""
    if workers:
        yield workers
        return
    with Worker(timeout=timeout) as own:
        yield (own,)


def trainer_of(entry: SubjectEntry) -> TrainingSpec:
    """Return how a subject is trained. Raises `ArchcheckError` when its contract does not say so."""
    spec = entry.training
    if spec is None or not spec.train or not spec.evaluate:
        raise ArchcheckError(
            f"`{visible(entry.name)}` at {entry.where} has no trainer; give `train` and `evaluate` under its `training`"
        )
    return spec


def record_file(contract: Contract, spec: TrainingSpec) -> Path | None:
    """Return the file of the record that the contract names, if it names one."""
    return Path(contract.root, spec.record) if spec.record else None


def _watch(record: Mapping[str, Any] | None, target: Path | None, on_epoch: OnEpoch | None) -> OnEpoch:
    """Return a callback that passes epochs on, and stops at the first epoch if the record cannot accept the run."""

    def watch(progress: Mapping[str, Any]) -> None:
        refuse_mismatch(record, progress["about"], target)
        if on_epoch:
            on_epoch(progress["epoch"])

    return watch


def _refuse_known_seeds(record: Mapping[str, Any] | None, seeds: Sequence[int], target: Path | None) -> None:
    known = seeds_of(record)
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ArchcheckError(f"seed {twice[0]} is given {seeds.count(twice[0])} times; give each once")
    if again := [seed for seed in seeds if seed in known]:
        free = free_seed(record)
        raise ArchcheckError(
            f"`{target}` holds seed {again[0]} already; choose another (`--seed {free}`) or `--output FILE`"
        )
