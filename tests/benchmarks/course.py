"""Grade made classes, and print CPU seconds for a submission, the memory of the parent, and a second run.

    python tests/benchmarks/course.py [--students 30 300] [--keep DIR]

Submissions are variants of a small CNN: some too large, some without BatchNorm, some broken in a way of their own. The
contract has four rules with points. A line is a class: CPU seconds of the parent and all workers after the first import
of torch, for one submission; the peak of the parent's memory; and the time of the second run, which the cache answers.
With `--keep`, the classes and their pages stay in this folder.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONTRACT = """
[subjects.homework]
model = "students/*/model.py"
input = [1, 1, 28, 28]

[subjects.homework.rules]
requires = { kinds = ["batch_norm"], points = 1, title = "BatchNorm is applied", because = "it keeps training stable" }
no-unused-params = { points = 1, title = "Every layer is used" }
output-shape = { shape = ["*", 10], points = 1, title = "Ten scores for each image" }

[subjects.homework.rules.max-params]
title = "At most 5,000 parameters"
because = "the network must fit a small device"
points = [{ limit = 5_000, points = 2 }, { limit = 8_000, points = 1 }]
"""
MODEL = """from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, {width}, 3)
        self.norm = {norm}
        self.second = nn.Conv2d({width}, {wide}, 3)
        self.drop = nn.Dropout({rate})
        self.head = nn.Linear({wide}, {classes})

    def forward(self, x):
        x = F.max_pool2d(self.norm(self.first(x)).relu(), 2)
        x = self.drop(self.second(x).relu()).mean((2, 3))
        return F.log_softmax({last}, 1)
"""
BROKEN = ("def forward(:\n", "import no_such_module\n", "x = 1\n", "import os\nos._exit(3)\n", "raise SystemExit(1)\n")
"""What is no model: every tenth submission is one of them."""

_RUN = """
import json, resource, sys
from archcheck.cli import main
code = main(sys.argv[1:])
used = {who: resource.getrusage(getattr(resource, "RUSAGE_" + who)) for who in ("SELF", "CHILDREN")}
cpu = {who: each.ru_utime + each.ru_stime for who, each in used.items()}
print(json.dumps({"code": code, "cpu": cpu, "rss": {who: each.ru_maxrss for who, each in used.items()}}))
"""


def make_class(folder: Path, students: int) -> None:
    """Write the contract and the submissions of a class."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "archcheck.toml").write_text(CONTRACT)
    for number in range(students):
        home = folder / "students" / f"student{number:03}"
        home.mkdir(parents=True, exist_ok=True)
        (home / "model.py").write_text(submission(number))


def submission(number: int) -> str:
    """Return the model of a student; every tenth is broken."""
    if number % 10 == 9:
        return BROKEN[number // 10 % len(BROKEN)]
    width = 6 + number % 7 * 2
    norm = "nn.Identity()" if number % 4 == 3 else f"nn.BatchNorm2d({width})"
    wide = 16 + number % 5 * 16
    last = "self.first.weight.new_zeros(len(x), 10) + x.sum(1, keepdim=True)" if number % 11 == 7 else "self.head(x)"
    rate = 0.05 + number / 10_000
    return MODEL.format(width=width, wide=wide, norm=norm, rate=rate, classes=10 if number % 13 else 12, last=last)


def graded(folder: Path, cache: Path) -> dict[str, float]:
    """Grade a class in a new process; return its seconds and the peak memory of the parent, in megabytes."""
    import json

    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "grade", "--to", "csv", "--output", "grades.csv", "--feedback", "feedback"],
        cwd=folder,
        env=os.environ | {"ARCHCHECK_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["code"] == 0, told
    parent = told["rss"]["SELF"] / 1024
    worker = told["rss"]["CHILDREN"] / 1024
    return {"wall": time.monotonic() - start, "cpu": sum(told["cpu"].values()), "parent": parent, "worker": worker}


def import_seconds() -> float:
    """Return the CPU seconds of importing what a worker imports once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import archcheck.measure.process.server, torch"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--students", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    first = min(import_seconds() for _ in range(2))
    print(f"the first import: {first:.1f} CPU seconds")
    print("students  CPU s a submission  wall s  parent MB  worker MB  second run: CPU s a submission, wall s")
    for students in options.students:
        with tempfile.TemporaryDirectory() as scratch:
            folder = (options.keep or Path(scratch)) / f"class{students}"
            make_class(folder, students)
            one = graded(folder, Path(scratch, "cache"))
            two = graded(folder, Path(scratch, "cache"))
            print(
                f"{students:>8}  {(one['cpu'] - first) / students:>18.2f}  {one['wall']:>6.0f}  {one['parent']:>9.0f}  "
                f"{one['worker']:>9.0f}  {two['cpu'] / students:>30.2f}, {two['wall']:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
