"""Count how many files of one model `archcheck report` measures without a flag, and list what it says of the others.

    python tests/benchmarks/one_file_models.py [FOLDER]

The files are those of `tests/measure/wild/entries`, whose first lines say what the tests expect, or the Python files of
another folder. A file is measured when its main model is, which is exit code 0. Otherwise exit code 2 and one line of
error are expected, and a traceback or another code is counted apart.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from archcheck.cli import main as archcheck
from archcheck.cli import targets
from archcheck.workers.worker_process import Worker

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = ROOT / "tests" / "measure" / "wild" / "entries"


def main(folders: Sequence[str]) -> None:
    """Print the count, and a line for each file that is not measured."""
    results = list(outcomes(Path(folders[0]) if folders else ENTRIES))
    measured = [name for name, code, _ in results if code == 0]
    errors = [(name, lines[0]) for name, code, lines in results if code == 2 and len(lines) == 1]
    others = [(name, lines) for name, code, lines in results if code not in (0, 2) or (code == 2 and len(lines) != 1)]
    print(
        f"{len(results)} files: {len(measured)} measured without a flag, {len(errors)} with one line of error, ", end=""
    )
    print(f"{len(others)} others\n")
    for name, line in errors:
        print(f"{name}\n    {line}")
    for name, lines in others:
        print(f"{name}: not one line but {len(lines)}\n    " + "\n    ".join(lines))


def outcomes(folder: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the name of each file, the exit code of its report, and the lines of error.

    The files are copied to where there is no repository around them. One worker serves all.
    """
    with tempfile.TemporaryDirectory(prefix="one-file-") as copied, Worker() as worker:
        shutil.copytree(folder, copied, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        os.chdir(copied)
        shared = contextlib.nullcontext(worker)
        for file in sorted(Path().glob("[!_]*.py")):
            said = io.StringIO()
            with (
                mock.patch.object(targets, "worker_of", return_value=shared),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(said),
            ):
                code = archcheck(["report", file.name, "--format", "json"])
            yield (
                file.name,
                code,
                [line for line in said.getvalue().splitlines() if line.startswith("archcheck: error: ")],
            )
        os.chdir(ROOT)


if __name__ == "__main__":
    main(sys.argv[1:])
