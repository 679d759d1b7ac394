"""Read, compare and extend the document of a training record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from archcheck.facts.record_seals import SEAL, misshapen, sealed, tampering
from archcheck.foundation.errors import ArchcheckError
from archcheck.foundation.json_documents import json_of
from archcheck.foundation.regular_files import refuse_irregular
from archcheck.foundation.whole_files import read_bytes

WEIGHTS = "weights"
"""The key under which an unsaved run names the file of its weights, which lies beside the checkpoint's path."""
_SAME = ("model", "recipe", "data")
_LEAVE = "move it away or choose `--output`"


def read_record(target: Path | None) -> dict[str, Any] | None:
    """Return the record in a file, `None` if there is no file yet. Raises `ArchcheckError` for anything else."""
    if target is None or not target.exists():
        refuse_missing_folder(target)
        return None
    record = read_document(target)
    if edited := tampering(record):  # adding a run would seal the edited record
        raise ArchcheckError(f"`{target}` takes no run: {edited}; bring it back, {_LEAVE}")
    return record


def read_document(file: Path) -> dict[str, Any]:
    """Return the content of a file if it has the form of a record. Raises `ArchcheckError` if it does not."""
    try:
        record = json_of(read_bytes(file))
        fault = misshapen(record)
    except OSError as error:
        fault = f"it cannot be read ({error.strerror})"
    except ValueError as error:
        fault = f"it is {error}"
    if fault:
        raise ArchcheckError(f"`{file}` is not a record: {fault}; {_LEAVE}")
    return cast(dict[str, Any], record)


def refuse_stream(target: Path) -> None:
    """Raise `ArchcheckError` if the path of a record leads to a pipe or a device."""
    try:
        refuse_irregular(target)
    except OSError as error:
        raise ArchcheckError(f"`{target}` is not a record: {error.strerror}; {_LEAVE}") from None


def refuse_missing_folder(target: Path | None) -> None:
    """Raise `ArchcheckError` if the folder of a record does not exist."""
    if target is not None and not target.parent.is_dir():
        raise ArchcheckError(f"there is no folder `{target.parent}` for the record; make it first")


def refuse_mismatch(record: Mapping[str, Any] | None, about: Mapping[str, Any], target: Path | None) -> None:
    """Raise `ArchcheckError` if a record is of another model, recipe or data."""
    for key in _SAME:
        if record is not None and not _agree(record.get(key), about.get(key)):
            raise ArchcheckError(f"`{target}` is of another {key}; move it away or choose `--output FILE`")


def _agree(recorded: Any, found: Any) -> bool:
    """Whether two descriptions agree in the keys that both have. A hand-written record has no fingerprint."""
    if isinstance(recorded, Mapping) and isinstance(found, Mapping):
        return all(recorded[key] == found[key] for key in recorded.keys() & found.keys())
    return bool(recorded == found)


def with_run(record: Mapping[str, Any] | None, pending: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with one more run. The run states its `environment` if it differs from that of the record."""
    if record is None:
        return {key: value for key, value in pending.items() if key not in (WEIGHTS, SEAL)}
    (run,), environment = pending["runs"], pending.get("environment")
    elsewhere = {} if environment == record.get("environment") else {"environment": environment}
    stopping = {"stopping": pending["stopping"]} if "stopping" in pending else {}
    return {**record, "runs": [*record["runs"], {**run, **elsewhere}], **stopping}


def free_seed(record: Mapping[str, Any] | None) -> int:
    """Return the first seed that the record does not hold yet."""
    known = seeds_of(record)
    return next(seed for seed in range(len(known) + 1) if seed not in known)


def seeds_of(record: Mapping[str, Any] | None) -> Sequence[Any]:
    """Return the seeds of the runs in a record."""
    return [run.get("seed") for run in record["runs"]] if record else []


def record_text(record: Mapping[str, Any]) -> str:
    """Return the content of the record file, with its seal."""
    return json.dumps(sealed(record), indent=1) + "\n"
