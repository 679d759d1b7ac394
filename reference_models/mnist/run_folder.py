"""One run's folder: its checkpoints, what a resumed run needs, and its record.

`last.safetensors`, `best.safetensors`   weights alone; each with a `.json` that says what they are
`resume.safetensors`                     everything to go on with, in one file, so that it cannot disagree
`run.json`                               the record of the finished run

A kill between two of these files does no harm: resuming trusts `resume.safetensors` alone, which is written
last in an epoch, and does again, bit for bit, what the others may already hold.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_models.mnist import digest
from reference_models.mnist.checkpoint import UNFINISHED, packed, write_atomically
from reference_models.mnist.documents import RUN, difference, formatted, read_run, sealed
from reference_models.mnist.errors import RunError
from reference_models.mnist.loop import Training, best
from reference_models.mnist.state import restore, state_of

STATE = "resume.safetensors"
PROBE = ".writable"


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder, and say whether nobody else has; one that cannot be locked, as on Windows, is taken for free."""
    descriptor = None
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    except (ImportError, OSError):
        free = True
    try:
        yield free
    finally:
        if descriptor is not None:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder and the identity of the run it is for: seed, network, recipe, data, environment."""

    path: Path
    identity: Mapping[str, Any]

    @contextmanager
    def held(self, *, resume: bool) -> Iterator[None]:
        """Prepare the folder and keep it from other processes; raises `RunError` as `prepare`, or if one has it.

        The kernel locks the folder itself: nothing is left in it, and a process that is killed holds it no longer.
        """
        with suppress(OSError):  # `prepare` says what is wrong
            self.path.mkdir(parents=True, exist_ok=True)
        with _locked(self.path) as ours:
            if not ours:
                raise RunError(f"`{self.path}` is being trained into by another process; wait, or pass `--output`")
            self.prepare(resume=resume)
            yield

    def prepare(self, *, resume: bool) -> None:
        """Make the folder; raises `RunError` if it cannot be written, or holds something not to resume."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            left = (PROBE, f".{PROBE}{UNFINISHED}")  # by a process that was killed here
            occupied = any(each.name not in left for each in self.path.iterdir())
        except OSError as error:
            raise RunError(f"`{self.path}` cannot be made: {error.strerror}; pass another `--output`") from None
        if occupied and not resume:
            raise RunError(f"`{self.path}` is not empty; pass `--resume` to go on, or another `--output`")
        probe = self.path / PROBE
        write_atomically(probe, b"")
        probe.unlink()

    def finished(self) -> bool:
        """Say whether the run is over; raises `RunError` if the folder holds another run's record."""
        if not (self.path / RUN).exists():
            return False
        record = read_run(self.path)
        self._check({**record, "seed": record["checkpoint"]["seed"]})
        return True

    def restore(self, training: Training) -> None:
        """Put `training` where the folder's run stopped, if it finished an epoch.

        Raises `RunError` when the file is damaged or belongs to a run of another identity.
        """
        if (self.path / STATE).exists():
            restore(training, self.path / STATE, self._check)

    def save(self, training: Training) -> None:
        """Write the checkpoints of the epoch that `training` has just finished."""
        weights = packed(training.model.state_dict())
        if best(training.rows) is training.rows[-1]:
            self._write_checkpoint("best", weights, training)
        self._write_checkpoint("last", weights, training)
        write_atomically(self.path / STATE, state_of(training, self.identity))

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write `record`, of this run alone, with the description of its last checkpoint."""
        described = json.loads((self.path / "last.json").read_text(encoding="utf-8"))
        write_atomically(self.path / RUN, formatted(sealed({**record, "checkpoint": described})))

    def _write_checkpoint(self, name: str, weights: bytes, training: Training) -> None:
        file = f"{name}.safetensors"
        write_atomically(self.path / file, weights)
        described = {
            "file": file,
            "sha256": digest.of_bytes(weights),
            "seed": training.seed,
            "epoch": training.rows[-1]["epoch"],
        }
        write_atomically(self.path / f"{name}.json", formatted(described))

    def _check(self, found: Mapping[str, Any]) -> None:
        if (other := difference(found, self.identity)) is not None:
            raise RunError(f"`{self.path}` holds another run: {other}; pass another `--output`")
