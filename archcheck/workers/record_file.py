"""Write the file of a training record. One process adds to it at a time, and no finished run is lost.

A run is first written to `record.json.unsaved`, with its weights beside it. Then the weights are moved to their place,
the record is written, and the unsaved file is removed. If a kill or a full disk interrupts this, the unsaved file
stays, and the next process that adds to the record finishes the work first.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from archcheck.facts.record_seals import SCHEMA, tampering
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.file_locks import RESERVED, Lock, lock_beside, lock_file, remove_if_unlocked
from archcheck.foundation.regular_files import sha256_of
from archcheck.foundation.whole_files import is_stream, replace_whole, write_whole
from archcheck.workers.record_document import (
    WEIGHTS,
    read_document,
    read_record,
    record_text,
    refuse_mismatch,
    refuse_missing_folder,
    seeds_of,
    with_run,
)

Tell = Callable[[str], None]
UNSAVED = ".unsaved"


class Recording:
    """A record that only this process adds runs to. `record` is its content, or `None` before the first run.

    `recovered_seed` is the seed of a run that an earlier process could not save and that was added now. Without a
    `target` the record stays in memory. A stream, such as a pipe, is written to after every run.
    """

    def __init__(self, target: Path | None, checkpoint: Path | None, lock: Lock | None) -> None:
        self.target = target
        self.record: Mapping[str, Any] | None = None
        self.recovered_seed: int | None = None
        self._checkpoint = checkpoint
        self._lock = lock

    @property
    def weights(self) -> Path | None:
        """The file for the weights of the next run, or `None` except for the first run of a record."""
        return _beside(self._checkpoint) if self._checkpoint and self.record is None else None

    def add(self, answer: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
        """Add the run in the answer of a worker. `stated` are further keys of the record.

        Raises `ArchcheckError` when the record can no longer be written or does not accept the run. The message says
        where the run is kept.
        """
        pending = self._pending(answer, stated)
        if self._lock is None:
            self.record = with_run(self.record, pending)
            self._write_stream()
            return
        kept = self._keep(pending)
        problem = answer.get("unsaved")
        try:
            if problem is None:
                self._settle(pending)
                return
        except ArchcheckError as error:
            problem = str(error)
        except OSError as error:
            problem = f"`{error.filename2 or error.filename or self.target}` cannot be written: {error.strerror}"
        raise ArchcheckError(
            f"{problem}; the run of seed {_seed(pending)} is kept in `{kept}`: mend that"
            + ("" if kept == self._unsaved else f", move it to `{self._unsaved}`")
            + ", and the next `archcheck train` takes it in"
        )

    def recover_unsaved(self) -> bool:
        """Add the run that an earlier process could not save. Return whether there was one."""
        if not self._unsaved.exists():
            return False
        pending = _unsaved_run(self._unsaved)
        self._settle(pending)
        self.recovered_seed = _seed(pending)
        return True

    def remove_stray_weights(self) -> None:
        """Remove weights without an unsaved run, for example of a training that failed or was killed."""
        if self._checkpoint and not self._unsaved.exists():
            _beside(self._checkpoint).unlink(missing_ok=True)

    def _write_stream(self) -> None:
        assert self.record is not None
        try:
            if self.target is not None:
                write_whole(self.target, record_text(self.record))
        except OSError as error:
            problem = f"`{self.target}` cannot be written: {error.strerror}"
            raise ArchcheckError(f"{problem}; {self._kept_elsewhere()}") from None

    def _kept_elsewhere(self) -> str:
        """Write the record to a temporary file, because the stream failed. Return the sentence that names the file."""
        assert self.record is not None
        seeds = ", ".join(map(str, seeds_of(self.record)))
        try:
            kept = self._keep_elsewhere(record_text(self.record), "record.json")
        except OSError as error:
            return f"the record (seed {seeds}) is lost, because the folder for temporary files fails: {error.strerror}"
        return f"the record (seed {seeds}) is kept in `{kept}`: move it to the file that the contract names"

    @property
    def _unsaved(self) -> Path:
        assert self.target is not None
        return _beside(self.target)

    def _pending(self, answer: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record that holds only this run, with the file of its weights."""
        run, found = answer["run"], {"schema": SCHEMA, **answer["about"], "runs": [answer["run"]], **stated}
        if self.weights and self._checkpoint and "checkpoint" in answer:
            last = run["epochs"][-1]["epoch"]
            described = {"file": self._checkpoint.name, "sha256": answer["checkpoint"]}
            found["checkpoint"] = {**described, "seed": run["seed"], "epoch": last}
            found[WEIGHTS] = self.weights.name
        return found

    def _keep(self, pending: Mapping[str, Any]) -> Path:
        """Write a run to a safe place and return its path: beside the record if possible."""
        text = record_text(pending)
        for keep in (self._keep_beside, self._keep_in_lock, self._keep_elsewhere):
            try:
                return keep(text)
            except OSError as error:
                problem = error
        raise ArchcheckError(
            f"`{self._unsaved}` cannot be written: {problem.strerror}; the run of seed {_seed(pending)} is lost"
        )

    def _keep_beside(self, text: str) -> Path:
        replace_whole(self._unsaved, text)
        return self._unsaved

    def _keep_in_lock(self, text: str) -> Path:
        assert self._lock is not None
        self._lock.turn_into(self._unsaved, text.encode())
        return self._unsaved

    def _keep_elsewhere(self, text: str, name: str | None = None) -> Path:
        file = Path(tempfile.mkdtemp(prefix="archcheck-unsaved-"), name or self._unsaved.name)
        write_whole(file, text)
        return file

    def _settle(self, pending: Mapping[str, Any]) -> None:
        """Move a run and its weights to their places, and read `record` from the file."""
        assert self.target is not None
        there = read_record(self.target)  # again, because other programs write without the lock
        if _lacks(there, pending, self.target, self._unsaved):
            refuse_mismatch(there, pending, self.target)
            if there is None and self.record is None and WEIGHTS in pending:
                self._place_weights(pending)
            there = with_run(there or self.record, pending)
            replace_whole(self.target, record_text(there))
        self._unsaved.unlink(missing_ok=True)
        self.record = there

    def _place_weights(self, pending: Mapping[str, Any]) -> None:
        digest, place = pending["checkpoint"]["sha256"], self._checkpoint
        staged = place and _beside(place)
        if not place or not staged or pending[WEIGHTS] != staged.name:
            raise ArchcheckError(f"the contract names no checkpoint for `{pending[WEIGHTS]}`; bring it back")
        if _digest(place) == digest:
            return
        if _digest(staged) != digest:
            raise ArchcheckError(
                f"`{staged}` does not hold the weights of the run; delete `{self._unsaved}`, and train that seed again"
            )
        _refuse_checkpoint(place, self.target)
        staged.replace(place)


@contextmanager
def recording(target: Path | None, checkpoint: Path | None, tell: Tell | None = None) -> Iterator[Recording]:
    """Yield the record `target`, locked for this process. Wait while another process holds it.

    `checkpoint` is the place for the weights of its first run. `tell` is called with a line when this waits, and when
    it adds a run that an earlier process could not save.

    Raises:
        ArchcheckError: the file is no record, or it cannot be written.
    """
    tell = tell or (lambda line: None)
    if target is None or is_stream(target):
        yield Recording(target, None, None)
        return
    refuse_missing_folder(target)
    with ExitStack() as held:
        own = Recording(target, checkpoint, _locked(held, target, tell, RESERVED))
        try:
            if checkpoint and (_beside(target).exists() or not target.exists()):
                _locked(held, checkpoint, tell, 0)
                own.remove_stray_weights()  # so that the weights go to a new file, not through a link
                held.callback(own.remove_stray_weights)
            elif checkpoint:
                remove_if_unlocked(lock_file(checkpoint))
            if own.recover_unsaved():
                unsaved = f"the run of seed {own.recovered_seed} from `{_beside(target)}`"
                tell(f"took in {unsaved}, which could not be saved before")
        except OSError as error:
            raise ArchcheckError(f"`{error.filename or target}` cannot be written: {error.strerror}; {_MEND}") from None
        own.record = read_record(target)
        if own.record is None and checkpoint:
            _refuse_checkpoint(checkpoint, target)
        yield own


_FULL = (errno.ENOSPC, errno.EDQUOT)
_MEND = "mend that, or choose `--output FILE` in another folder"


def _locked(held: ExitStack, file: Path, tell: Tell, reserve: int) -> Lock:
    """Hold the lock of a file until `held` is closed. Raises `ArchcheckError` if the file cannot be written."""

    def wait(holder: str) -> None:
        tell(f"waiting for {holder}, which adds to `{file}`; `--output FILE` records elsewhere")

    try:
        return held.enter_context(lock_beside(file, on_wait=wait, reserve=reserve))
    except OSError as error:
        asked = f" (it asks for {reserve:,} bytes)" if reserve and error.errno in _FULL else ""
        raise ArchcheckError(f"`{file}` cannot be written: {error.strerror}{asked}; {_MEND}") from None


def _unsaved_run(file: Path) -> dict[str, Any]:
    """Return the run in a file that an earlier process left. Raises `ArchcheckError` for anything else."""
    document = read_document(file)
    described = document.get("checkpoint") or {}
    whole = [type(seed) for seed in seeds_of(document)] == [int] and (WEIGHTS in document) == ("sha256" in described)
    if edited := tampering(document) or (None if whole else "it is not one run"):
        raise ArchcheckError(f"`{file}` is not a run that can be added: {edited}; move it away")
    return document


def _lacks(record: Mapping[str, Any] | None, pending: Mapping[str, Any], target: Path, unsaved: Path) -> bool:
    """Whether a record lacks this run. Raises `ArchcheckError` if it holds another run of the same seed."""
    (run,), seed, runs = pending["runs"], _seed(pending), record["runs"] if record else ()
    found = [each for each in runs if each.get("seed") == seed]
    if found and {**found[0], "environment": None} != {**run, "environment": None}:
        raise ArchcheckError(f"`{target}` and `{unsaved}` hold different runs of seed {seed}; delete one of both")
    return not found


def _refuse_checkpoint(file: Path, target: Path | None) -> None:
    if file.exists():
        raise ArchcheckError(
            f"`{file}` exists, and there is no record `{target}` that it belongs to; move it away first"
        )


def _seed(pending: Mapping[str, Any]) -> int:
    return cast(int, pending["runs"][0]["seed"])


def _beside(file: Path) -> Path:
    """Return the path for unsaved content of `file`, beside the file that it links to."""
    resolved = Path(os.path.realpath(file))
    return resolved.with_name(resolved.name + UNSAVED)


def _digest(file: Path) -> str | None:
    return sha256_of(file) if file.is_file() else None
