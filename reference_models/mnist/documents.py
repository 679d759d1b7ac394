"""The JSON documents of a run: written in one form, read with their shape checked, compared by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reference_models.mnist import digest
from reference_models.mnist.errors import RunError

RUN = "run.json"
SEAL = "digest"
# The parts of a record that say what its runs are runs of.
HEADER = ("schema", "model", "recipe", "data", "environment")


def formatted(value: object) -> bytes:
    """Return `value` as indented JSON that ends its last line."""
    return (json.dumps(value, indent=1) + "\n").encode()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `record` with the `digest` of all the rest of it, by which a reader sees that nobody edited it."""
    content = {key: value for key, value in record.items() if key != SEAL}
    return {**content, SEAL: digest.of_json(content)}


def read_run(folder: Path) -> dict[str, Any]:
    """Return the record of the finished run in `folder`; raises `RunError` if there is no sound one."""
    path = folder / RUN
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RunError(f"`{path}` cannot be read: no finished run; train into `{folder}` first") from None
    except ValueError as error:
        raise RunError(f"`{path}` is no JSON ({error}); delete it and `--resume` the run") from None
    return _sound(record, path, "delete it and `--resume` the run")


def read_record(path: Path) -> dict[str, Any]:
    """Return the record in the file at `path`; raises `RunError` if it is none, or was edited."""
    remedy = "bring it back, or collect the runs again"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"`{path}` cannot be read as a record ({error}); {remedy}") from None
    return _sound(record, path, remedy)


def _sound(record: object, path: Path, remedy: str) -> dict[str, Any]:
    if not isinstance(record, dict) or not {*HEADER, "runs", "checkpoint"} <= record.keys():
        raise RunError(f"`{path}` is no record of a run; {remedy}")
    if record.get(SEAL) != sealed(record)[SEAL]:
        raise RunError(f"`{path}` was edited after it was written: its `{SEAL}` does not fit; {remedy}")
    return record


def difference(found: object, expected: object, name: str = "") -> str | None:
    """Say where `found` first differs from what `expected` asks for; None where it does not.

    Keys that only `found` has are no difference.
    """
    if not isinstance(expected, Mapping):
        found_text, expected_text = json.dumps(found), json.dumps(expected)
        same = found_text == expected_text
        return None if same else f"`{name}` is {found_text}, expected {expected_text}"
    parts = found if isinstance(found, Mapping) else {}
    for key, value in expected.items():
        if (text := difference(parts.get(key), value, f"{name}.{key}".lstrip("."))) is not None:
            return text
    return None
