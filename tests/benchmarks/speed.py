"""How long measuring takes beside its peers, in one process, one thread, CPU seconds.

    python tests/benchmarks/speed.py [MODEL ...] [--turns 3] [--runs 5] [--size PIXELS]
    python tests/benchmarks/speed.py --process [--runs 5]

Each model is built once and takes one image of the size that torchvision publishes its accuracy for, or of `--size`:
the peers run the model on it, measuring does not. In each turn every tool runs a few times in a row, the first of which
warms it up; a turn's figure is the median of the others, and the table gives medians over the turns and the median of
each turn's ratios. Measuring means all facts, in evaluation and training mode, by shapes alone. fvcore is asked for its
total of operations only and torchinfo for its summary, both in evaluation mode. `first` is the first measuring of the
model in the process. torchinfo is compared when it is installed.

With `--process`, whole processes are compared: `archcheck report` of the flagship without a cache, and
`archcheck check` of this repository from the cache, each beside `python -c "import torch"`.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from fvcore.nn import FlopCountAnalysis
from torchvision.models import get_model, get_model_weights

from archcheck.measure import measure_model

ROOT = Path(__file__).parent.parent.parent
MODELS = ("resnet50", "vit_b_16", "swin_t", "efficientnet_v2_s")
Tool = Callable[[torch.nn.Module, torch.Tensor], object]


def with_torchinfo(model: torch.nn.Module, image: torch.Tensor) -> object:
    import torchinfo

    return torchinfo.summary(model, input_data=image, verbose=0)


TOOLS: dict[str, Tool] = {
    "archcheck": lambda model, image: measure_model(model, example=image),
    "fvcore": lambda model, image: FlopCountAnalysis(model, image).total(),
}
if importlib.util.find_spec("torchinfo"):
    TOOLS["torchinfo"] = with_torchinfo


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def turn(tool: Tool, model: torch.nn.Module, image: torch.Tensor, runs: int) -> float:
    gc.collect()  # nobody pays for the garbage of the one before
    seconds = [cpu_seconds(lambda: tool(model, image)) for _ in range(runs + 1)]
    return statistics.median(seconds[1:])


def published_size(name: str) -> int:
    """Return the side of the images that the published weights were evaluated on; nothing is downloaded."""
    return int(get_model_weights(name).DEFAULT.transforms().crop_size[0])


def compare(name: str, turns: int, runs: int, size: int) -> str:
    model, image = get_model(name, weights=None).eval(), torch.rand(1, 3, size, size)
    first = cpu_seconds(lambda: measure_model(model, example=image))
    figures = {tool: [] for tool in TOOLS}
    for _ in range(turns):
        for tool, work in TOOLS.items():
            figures[tool].append(turn(work, model, image, runs))
    cells = [f"{name:<20}{size:>5}{first:>9.3f}"]
    for tool, seconds in figures.items():
        cells.append(f"{statistics.median(seconds):>11.3f}")
        if tool != "archcheck":
            pairs = zip(figures["archcheck"], seconds, strict=True)
            cells.append(f"{statistics.median(ours / theirs for ours, theirs in pairs):>8.3f}")
    return "".join(cells)


def compare_models(names: Sequence[str], turns: int, runs: int, size: int | None) -> None:
    peers = "".join(f"{tool:>11}{'ratio':>8}" for tool in TOOLS if tool != "archcheck")
    print(f"{'model':<20}{'size':>5}{'first':>9}{'archcheck':>11}{peers}")
    for name in names:
        print(compare(name, turns, runs, size or published_size(name)), flush=True)


def process_seconds(*command: str) -> float:
    """Return the CPU seconds of a process and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_processes(runs: int) -> None:
    check = ("-m", "archcheck", "check")
    process_seconds(*check)  # from here on the cache answers
    commands = {
        'python -c "import torch"': ("-c", "import torch"),
        "archcheck report reference_models/mnist/model.py --no-cache": (
            "-m", "archcheck", "report", "reference_models/mnist/model.py", "--no-cache",
        ),
        "archcheck check, from the cache": check,
    }  # fmt: skip
    turns = [{name: process_seconds(*command) for name, command in commands.items()} for _ in range(runs)]
    base = next(iter(commands))
    print(f"{'process':<62}{'CPU s':>8}{'ratio':>8}")
    for name in commands:
        ratio = statistics.median(each[name] / each[base] for each in turns)
        print(f"{name:<62}{statistics.median(each[name] for each in turns):>8.2f}{ratio:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int)
    parser.add_argument("--process", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    if options.process:
        compare_processes(options.runs)
    else:
        compare_models(options.models, options.turns, options.runs, options.size)


if __name__ == "__main__":
    main()
