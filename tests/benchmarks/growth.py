"""Measure chains of 100, 1,000 and 10,000 layers: the time that a layer takes must not grow with their number.

    python tests/benchmarks/growth.py [--runs 3] [--most LAYERS]

A chain is made of `Linear` and `ReLU`, flat in one `Sequential`, in blocks of ten in blocks of ten and so on, or in
residual blocks with a layer each that is never called. `measure` is all facts of both modes; `report` is what comes
after: facts to JSON and back, every rule that looks at the graph, and the report as text. CPU time of one thread, the
least of several runs, in microseconds a layer. Exit code 1 if a layer of the longest chain takes more than 1.3 times
one of the chain before it. With `--most 100000` there is a longer chain, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from archcheck import rules
from archcheck.contract import Stated
from archcheck.facts.facts import Facts
from archcheck.foundation.source_place import Where
from archcheck.judging.engine import judge
from archcheck.measure import measure_model
from archcheck.render import render
from archcheck.rules.base import rule_name
from archcheck.rules.findings import Report

MOST = 1.3
WIDTH = 8

RULES = (
    rules.MaxParams(limit=10),
    rules.Requires(kinds=("dropout", "batch_norm")),
    rules.Forbids(kinds=("linear",)),
    rules.FollowedBy(layer="linear", by="batch_norm", exempt=("last",)),
    rules.Head(kinds=("conv",)),
    rules.DropoutRate(rate=0.1),
    rules.NoPadding(),
    rules.NoHiddenWeights(),
    rules.NoUnusedParams(),
    rules.NoUnusedLayers(on="Linear"),
    rules.OutputShape(shape=("*", WIDTH)),
)


def layers(count: int) -> list[nn.Module]:
    return [layer for _ in range(count // 2) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]


def flat(count: int) -> nn.Module:
    return nn.Sequential(*layers(count))


def nested(count: int) -> nn.Module:
    blocks = layers(count)
    while len(blocks) > 1:
        blocks = [nn.Sequential(*blocks[first : first + 10]) for first in range(0, len(blocks), 10)]
    return blocks[0]


class Residual(nn.Module):
    """Adds what a layer makes of its input; another layer is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers(2))
        self.spare = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def residual(count: int) -> nn.Module:
    return nn.Sequential(*(Residual() for _ in range(count // 4)))


def report(facts: Facts) -> str:
    """Do all that comes after measuring, as `archcheck report` does."""
    facts = Facts.from_json(json.loads(json.dumps(facts.to_json())))
    stated = [Stated(rule=rule, instance=rule_name(rule), where=Where(file="growth.py", line=1)) for rule in RULES]
    return render([Report(subject="chain", facts=facts, outcomes=judge(facts, stated))], "text")


def seconds(work: Callable[[], object], runs: int) -> float:
    """Return the least CPU time of several runs."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def row(name: str, stage: str, per_layer: list[float]) -> bool:
    """Print a line of the table; return whether the time grows with the layers alone."""
    ratio = per_layer[-1] / per_layer[-2]
    figures = "".join(f"{1e6 * each:>10.1f}" for each in per_layer)
    print(f"{name:<12}{stage:<10}{figures}{ratio:>10.2f}{'' if ratio <= MOST else '  TOO MUCH'}", flush=True)
    return ratio <= MOST


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=10_000, help="layers of the longest chain, a power of ten")
    options = parser.parse_args()
    sizes = [10**power for power in range(2, len(str(options.most)))]
    torch.set_num_threads(1)
    image = torch.rand(1, WIDTH)
    print(f"{'chain':<12}{'stage':<10}{''.join(f'{size:>10,}' for size in sizes)}{'ratio':>10}")
    right = True
    for chain in (flat, nested, residual):
        measuring, reporting = [], []
        for size in sizes:
            model = chain(size)
            facts = measure_model(model, example=image)  # the first time is not that of a layer alone
            measuring.append(seconds(lambda m=model: measure_model(m, example=image), options.runs) / size)
            reporting.append(seconds(lambda f=facts: report(f), options.runs) / size)
        right &= row(chain.__name__, "measure", measuring)
        right &= row("", "report", reporting)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
