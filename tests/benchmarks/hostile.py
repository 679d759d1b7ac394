"""What hostile subjects do, how long archcheck takes over each, and the line that it prints.

    python tests/benchmarks/hostile.py [NAME ...]

The subjects are those of `tests/workers/hostile`; one run of `archcheck check` judges all of them, as in a terminal.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from archcheck.contract import load
from archcheck.judging.engine import check_contract
from archcheck.render import render
from archcheck.workers.worker_process import Worker
from tests.workers.hostile.hostile_subjects import SUBJECTS, write_project


def main(names: Sequence[str]) -> None:
    """Print a table of the named subjects, by default of all."""
    chosen = names or tuple(SUBJECTS)
    print("| subject | seconds | line |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        write_project(Path(folder))
        os.chdir(folder)
        for name, seconds, line in lines(chosen):
            print(f"| {name} | {seconds:.1f} | {line} |", flush=True)


def lines(names: Sequence[str]) -> Iterator[tuple[str, float, str]]:
    """Yield each subject with the seconds that it took and what is said of it."""
    with Worker() as worker:
        for name in names:
            begun = time.monotonic()
            (report,) = check_contract(load(Path("archcheck.toml")), [name], worker=worker)
            seconds = time.monotonic() - begun
            said = json.loads(render([report], "json"))["reports"][0]
            if "error" in said:
                yield name, seconds, f"error: {said['error']['message']}".replace("|", "\\|")
            else:
                yield name, seconds, f"{said['outcomes'][0]['verdict']}: {said['outcomes'][0]['found']} parameters"


if __name__ == "__main__":
    main(sys.argv[1:])
