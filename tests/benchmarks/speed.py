"""How long measuring takes beside its peers: one thread, CPU seconds.

    python tests/benchmarks/speed.py [MODEL ...] [--runs 3]
    python tests/benchmarks/speed.py --again [MODEL ...] [--runs 5]
    python tests/benchmarks/speed.py --process [--runs 5]

The first line times the first call in a process. Each figure is that of a fresh process, which imports torch and the
tools, builds the model and makes one call; the tools take turns, and the table has medians. (In a fork, each page of
memory that a tool touches would be copied first, which costs up to half as much again.) Measuring means all facts, in
evaluation and training mode, by shapes alone. torchinfo is asked for its summary and fvcore for its total of
operations, both in evaluation mode; they run the model. `goal` is the time of torchinfo and 3 % of `import torch`, and
`of goal` is what part of it measuring takes. Networks of transformers are compared when it is installed. `phases` are
the shares of measuring, of a call that is not among the others.

With `--again`, the second call in a process and those after it are timed.

With `--process`, whole processes are compared: see `processes.py`, which this calls.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis

from archcheck.measure import measure_model
from archcheck.measure import model as measuring

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.benchmarks import processes  # noqa: E402
from tests.benchmarks.speed_models import MODELS, Made  # noqa: E402

Tool = Callable[[torch.nn.Module, torch.Tensor], object]
TOOLS: dict[str, Tool] = {
    "archcheck": lambda model, example: measure_model(model, example=example),
    "torchinfo": lambda model, example: torchinfo.summary(model, input_data=example, verbose=0),
    "fvcore": lambda model, example: FlopCountAnalysis(model, example).total(),
}
SHARE = 0.03
"""How much of `import torch` a first call may take more than torchinfo's."""


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def seconds_if_any(work: Callable[[], object]) -> float:
    """Return the seconds of a tool, `nan` if it cannot measure the model."""
    try:
        return cpu_seconds(work)
    except Exception:
        return math.nan


def in_a_process(what: str, name: str) -> str:
    """Return what a fresh process says of a model: the seconds of a tool's first call, or its phases."""
    command = [sys.executable, "-W", "ignore", __file__, "--first", what, name]
    return subprocess.run(command, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def first(what: str, name: str) -> str:
    """Return what `in_a_process` asks for, in this process."""
    made = MODELS[name]()
    return phases(made) if what == "phases" else str(seconds_if_any(lambda: TOOLS[what](*made)))


PHASES = ("passes_of", "_training_trace", "several", "measure_again", "follow_branches", "_facts", "settled")


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the time of each phase of measuring: what `measure.model` calls by name."""

    def wrapped(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def run(*given: object, **named: object) -> object:
            start = time.process_time()
            try:
                return call(*given, **named)
            finally:
                seconds[name] = seconds.get(name, 0) + time.process_time() - start

        return run

    for name in PHASES:
        setattr(measuring, name, wrapped(name, getattr(measuring, name)))
    yield


def phases(made: Made) -> str:
    seconds: dict[str, float] = {}
    with timed(seconds):
        whole = cpu_seconds(lambda: TOOLS["archcheck"](*made))
    return ", ".join(f"{name.strip('_')} {share / whole:.0%}" for name, share in seconds.items() if share > whole / 50)


def compare_first_calls(names: Sequence[str], runs: int) -> None:
    base = statistics.median(process_seconds("-c", "import torch") for _ in range(runs))
    print(f"import torch takes {base:.2f} CPU s\n")
    print(f"{'model':<22}" + "".join(f"{tool:>11}" for tool in TOOLS) + f"{'goal':>8}{'of goal':>9}  phases")
    table = [first_calls(name, runs, base) for name in names]
    shares, parts = zip(*table, strict=True)
    print(f"\nof goal: median {statistics.median(shares):.2f}, most {max(shares):.2f}")
    measured = [part for part in parts if not math.isnan(part)]
    print(f"of fvcore: median {statistics.median(measured):.3f} of the {len(measured)} that it can measure")


def first_calls(name: str, runs: int, base: float) -> tuple[float, float]:
    """Print the line of a model, and return its parts of the goal and of fvcore's time."""
    turns = [{tool: float(in_a_process(tool, name)) for tool in TOOLS} for _ in range(runs)]
    figures = {tool: statistics.median(turn[tool] for turn in turns) for tool in TOOLS}
    goal = figures["torchinfo"] + SHARE * base
    line = f"{name:<22}" + "".join(f"{figure:>11.3f}" for figure in figures.values())
    share = figures["archcheck"] / goal
    print(f"{line}{goal:>8.3f}{share:>9.2f}  {in_a_process('phases', name)}", flush=True)
    return share, figures["archcheck"] / figures["fvcore"]


def turn(tool: Tool, made: Made, runs: int) -> float:
    gc.collect()  # nobody pays for the garbage of the one before
    seconds = [seconds_if_any(lambda: tool(*made)) for _ in range(runs + 1)]
    return statistics.median(seconds[1:])


def compare_later_calls(names: Sequence[str], runs: int) -> None:
    peers = [tool for tool in TOOLS if tool != "archcheck"]
    print(
        f"{'model':<22}" + "".join(f"{tool:>11}" for tool in TOOLS) + "".join(f"{'of ' + each:>14}" for each in peers)
    )
    for name in names:
        made = MODELS[name]()
        turns = [{tool: turn(call, made, runs) for tool, call in TOOLS.items()} for _ in range(3)]
        cells = [f"{statistics.median(each[tool] for each in turns):>11.3f}" for tool in TOOLS]
        ratios = [statistics.median(each["archcheck"] / each[tool] for each in turns) for tool in peers]
        print(f"{name:<22}" + "".join(cells) + "".join(f"{ratio:>14.3f}" for ratio in ratios), flush=True)


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def process_seconds(*command: str) -> float:
    """Return the CPU seconds of a process and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--process", action="store_true")
    parser.add_argument("--first", metavar="TOOL", help=argparse.SUPPRESS)  # what a fresh process is asked for
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    if options.first:
        print(first(options.first, *options.models))
    elif options.process:
        processes.compare((), options.runs)
    else:
        (compare_later_calls if options.again else compare_first_calls)(options.models, options.runs)


if __name__ == "__main__":
    main()
