"""How long whole processes take, in CPU seconds and in multiples of `import torch`: one thread, medians of turns.

    python tests/benchmarks/processes.py [WORD ...] [--runs 5]

Only the rows whose name has one of the words are measured, or all. Every turn runs each command once, `import torch`
among them, so that what else the machine does falls on all alike; a ratio is the median of the ratios of the turns.
`peak MiB` is the most memory that one process of a command holds, `more` how much that is above `import torch`. `wall`
is what a user waits.

The contract of 10,000 subjects is read, and nothing of it measured. A chain has as many layers as its row says,
`Linear` and `ReLU` in turn, and is reported without a cache. The decoder has the sizes that Llama 3.1 405B publishes,
built of `torch.nn` on the meta device. The files of all rows and the cache lie in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CHAINS = (100, 1_000, 10_000, 100_000)
BASE = 'python -c "import torch"'

CHAIN = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, count={count}):
        super().__init__(*(layer for _ in range(count // 2) for layer in (nn.Linear(8, 8), nn.ReLU())))
"""
SMALL = """
from torch import nn

class Net{number}(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, {width}, 3)
        self.norm = nn.BatchNorm2d({width})
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear({width}, 10)

    def forward(self, x):
        return self.fc(self.drop(self.norm(self.conv(x)).relu()).mean((2, 3)))
"""
SUBJECT = """
[subjects.s{number}]
model = "nets.py:Net{number}"
input = [1, 1, 12, 12]
[subjects.s{number}.rules]
max-params = 1000
requires = ["batch_norm", "dropout"]
no-hidden-weights = true
followed-by = {{ layer = "conv", by = "batch_norm" }}
"""
LARGEST = """
from tests.benchmarks import size

size.LAYERS, size.WIDTH, size.HEADS, size.INNER = 126, 16_384, 128, 53_248

class Largest(size.Decoder):
    pass
"""
READ = """
from pathlib import Path
from archcheck.contract import load
assert len(load(Path('archcheck.toml')).subjects) == 10_000
"""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took: CPU seconds of all its processes, seconds of waiting, MiB of the largest."""

    cpu: float
    wall: float
    peak: float


@dataclass(frozen=True)
class Row:
    """A command of the table. `code` is the exit code that it must have."""

    name: str
    arguments: tuple[str, ...]
    folder: Path
    cache: Path | None = None


def cost(row: Row) -> Cost:
    """Run a command and return what it took.

    Raises `SystemExit` with what it printed if it fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if row.cache:
        environment["ARCHCHECK_CACHE_DIR"] = str(row.cache)
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *row.arguments], cwd=row.folder, env=environment, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{row.name} ended with {process.returncode}:\n{output.read().decode()[-2000:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / unit)


def rows(folder: Path) -> list[Row]:
    """Write the files of all commands into `folder`, and return the commands."""
    thirty, thousands, layers = (folder / name for name in ("thirty", "thousands", "layers"))
    for each in (thirty, thousands, layers):
        each.mkdir()
    (thirty / "nets.py").write_text("".join(SMALL.format(number=each, width=4 + each) for each in range(30)))
    (thirty / "archcheck.toml").write_text("".join(SUBJECT.format(number=each) for each in range(30)))
    (thousands / "archcheck.toml").write_text("".join(SUBJECT.format(number=each) for each in range(10_000)))
    for count in CHAINS:
        (layers / f"chain{count}.py").write_text(CHAIN.format(count=count))
    (layers / "largest.py").write_text(LARGEST)
    report = ("-m", "archcheck", "report", "--no-cache")
    check = ("-m", "archcheck", "check")
    decoder = (*report, "--meta", "--input", "1,512:int64", "largest.py:Largest")
    return [
        Row(BASE, ("-c", "import torch"), ROOT),
        Row("archcheck --version", ("-m", "archcheck", "--version"), ROOT),
        Row("report, the flagship with all its rules", (*report, "reference_models/mnist/model.py"), ROOT),
        Row("check from the cache, the flagship", check, ROOT, folder / "cache"),
        Row("check, 30 small subjects", (*check, "--no-cache"), thirty),
        Row("check --jobs 2, 30 small subjects", (*check, "--no-cache", "--jobs", "2"), thirty),
        Row("read a contract of 10,000 subjects", ("-c", READ), thousands),
        *(
            Row(f"report, a chain of {count:,} layers", (*report, "--input", "1,8", f"chain{count}.py:Net"), layers)
            for count in CHAINS
        ),
        Row("report --meta, 405 billion parameters", decoder, layers),
    ]


def compare(words: Sequence[str], runs: int, out: Callable[[str], object] = print) -> None:
    """Print the table of the rows that have one of `words` in their name, or of all."""
    with tempfile.TemporaryDirectory() as made:
        chosen = [row for row in rows(Path(made)) if row.name == BASE or not words or any(w in row.name for w in words)]
        for row in chosen:
            if row.cache:
                cost(row)  # from here on the cache answers
        turns = [{row.name: cost(row) for row in chosen} for _ in range(runs)]
    out(f"{'process':<44}{'CPU s':>8}{'ratio':>8}{'wall s':>8}{'peak MiB':>10}{'more':>8}")
    for row in chosen:
        costs = [turn[row.name] for turn in turns]
        ratio = statistics.median(turn[row.name].cpu / turn[BASE].cpu for turn in turns)
        more = statistics.median(turn[row.name].peak - turn[BASE].peak for turn in turns)
        cpu, wall, peak = (statistics.median(getattr(each, name) for each in costs) for name in ("cpu", "wall", "peak"))
        out(f"{row.name:<44}{cpu:>8.2f}{ratio:>8.2f}{wall:>8.2f}{peak:>10.0f}{more:>8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows to measure, by a part of their name")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    compare(options.words, options.runs)


if __name__ == "__main__":
    main()
