"""How long measuring takes beside fvcore's operation counts, in one process, one thread, CPU seconds.

    python tests/benchmarks/speed.py [MODEL ...] [--runs 5]

Each model is built once. The two tools take turns, so that a change of the machine's speed meets both; the table
gives medians and the median of the ratios of each turn. Measuring means all facts, in evaluation and training
mode, by shapes alone; fvcore is asked for its total only, in evaluation mode.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from fvcore.nn import FlopCountAnalysis
from torchvision.models import get_model

from archcheck.measure import measure_model

MODELS = ("resnet50", "vit_b_16", "swin_t", "efficientnet_v2_s")


def cpu_seconds(work: Callable[[], object]) -> float:
    gc.collect()  # nobody pays for the garbage of the one before
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, runs: int) -> tuple[float, float, float]:
    """Return medians of archcheck and fvcore, and the median ratio."""
    model, image = get_model(name, weights=None).eval(), torch.rand(1, 3, 224, 224)
    measure_model(model, example=image)  # the first call of torch's own kernels is not what is compared
    FlopCountAnalysis(model, image).total()
    pairs = [
        (
            cpu_seconds(lambda: measure_model(model, example=image)),
            cpu_seconds(lambda: FlopCountAnalysis(model, image).total()),
        )
        for _ in range(runs)
    ]
    ours, theirs = zip(*pairs, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    print(f"{'model':<24}{'archcheck':>11}{'fvcore':>11}{'ratio':>8}")
    for name in options.models:
        ours, theirs, ratio = compare(name, options.runs)
        print(f"{name:<24}{ours:>10.3f}s{theirs:>10.3f}s{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
