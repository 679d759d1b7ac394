"""One run's folder: its checkpoints, what a resumed run needs, and its record.

`last.safetensors`, `best.safetensors`   weights alone; each with a `.json` that says what they are
`resume.safetensors`                     everything to go on with, in one file, so that it cannot disagree
`run.json`                               the record of the finished run

A kill between two of these files does no harm: resuming trusts `resume.safetensors` alone, which is written
last in an epoch, and does again, bit for bit, what the others may already hold.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, optim

from reference_models.mnist import digest
from reference_models.mnist.checkpoint import packed, unpacked, write_atomically
from reference_models.mnist.errors import RunError
from reference_models.mnist.loop import Training, best

STATE = "resume.safetensors"
RECORD = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder and the identity of the run it is for: seed, network, recipe, data, environment."""

    path: Path
    identity: Mapping[str, Any]

    def prepare(self, *, resume: bool) -> None:
        """Make the folder; raises `RunError` if it cannot be written, or holds something not to resume."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            occupied = any(self.path.iterdir())
        except OSError as error:
            raise RunError(
                f"`{self.path}` cannot be made: {error.strerror}; pass another `--output`"
            ) from None
        if occupied and not resume:
            raise RunError(f"`{self.path}` is not empty; pass `--resume` to go on, or another `--output`")
        probe = self.path / ".writable"
        write_atomically(probe, b"")
        probe.unlink()

    def finished(self) -> Mapping[str, Any] | None:
        """Return the record of the finished run, None if it is not finished; raises like `restore`."""
        record = read_record(self.path) if (self.path / RECORD).exists() else None
        if record is not None:
            self._check({**record, "seed": record["runs"][0]["seed"]})
        return record

    def save(self, training: Training) -> None:
        """Write the checkpoints of the epoch that `training` has just finished."""
        weights = packed(training.model.state_dict())
        if best(training.rows) is training.rows[-1]:
            self._write_checkpoint("best", weights, training)
        self._write_checkpoint("last", weights, training)
        note = {
            "identity": self.identity,
            "rows": training.rows,
            "groups": training.optimizer.state_dict()["param_groups"],
            "schedule": training.schedule.state_dict(),
        }
        write_atomically(self.path / STATE, packed(dict(_tensors(training)), json.dumps(note)))

    def restore(self, training: Training) -> None:
        """Put `training` where the folder's run stopped, if it got that far.

        Raises `RunError` when the file is damaged or belongs to a run of another identity.
        """
        if not (self.path / STATE).exists():
            return
        tensors, text = unpacked(self.path / STATE)
        note = _note(self.path / STATE, text)
        self._check(note["identity"])
        training.model.load_state_dict(_under("model.", tensors))
        state = _optimizer_state(training.optimizer, _under("optimizer.", tensors))
        training.optimizer.load_state_dict({"state": state, "param_groups": note["groups"]})
        training.schedule.load_state_dict(note["schedule"])
        training.rows[:] = note["rows"]

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the finished run's record."""
        write_atomically(self.path / RECORD, formatted(record))

    def checkpoint(self, name: str = "last") -> Mapping[str, Any]:
        """Return what the `.json` beside a checkpoint says of it."""
        described: Mapping[str, Any] = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        return described

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
        other = difference(found, self.identity)
        if other is not None:
            raise RunError(
                f"`{self.path}` holds another run: {other}; pass its options or another `--output`"
            )


def formatted(value: object) -> bytes:
    """Return `value` as indented JSON that ends its last line."""
    return (json.dumps(value, indent=1) + "\n").encode()


def read_record(folder: Path) -> dict[str, Any]:
    """Return a finished run's record; raises `RunError` if there is none or it is no JSON."""
    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RunError(
            f"`{path}` cannot be read: `{folder}` is no finished run; `--resume` it first"
        ) from None
    except ValueError as error:
        raise RunError(f"`{path}` is no JSON ({error}); delete it and `--resume` the run") from None
    return record


def difference(found: object, expected: object, name: str = "") -> str | None:
    """Say where `found` first differs from what `expected` asks for; None where it does not."""
    if not isinstance(expected, Mapping):
        same = json.dumps(found) == json.dumps(expected)
        return None if same else f"`{name}` is {json.dumps(found)}, expected {json.dumps(expected)}"
    parts = found if isinstance(found, Mapping) else {}
    below = (
        difference(parts.get(key), value, f"{name}.{key}".lstrip(".")) for key, value in expected.items()
    )
    return next((text for text in below if text is not None), None)


def _tensors(training: Training) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in training.model.state_dict().items():
        yield f"model.{name}", tensor
    for index, state in training.optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            yield f"optimizer.{index}.{name}", tensor


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _optimizer_state(
    optimizer: optim.Optimizer, tensors: Mapping[str, Tensor]
) -> dict[int, dict[str, Tensor]]:
    """Return the state by parameter index, each tensor in its parameter's memory layout, as it was."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", maxsplit=1)
        parameter = parameters[int(index)]
        same = tensor.shape == parameter.shape
        state.setdefault(int(index), {})[key] = torch.empty_like(parameter).copy_(tensor) if same else tensor
    return state


def _note(path: Path, text: str) -> dict[str, Any]:
    try:
        note: dict[str, Any] = json.loads(text)
    except ValueError:
        raise RunError(
            f"`{path}` was not written by this trainer; delete it or pass another `--output`"
        ) from None
    return note
