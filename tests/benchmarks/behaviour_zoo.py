"""Judge well-known networks by the rules of behaviour and print a table.

    python tests/benchmarks/behaviour_zoo.py [--only NAME ...] [--rules RULE ...]

A line is a network and a rule: verdict, seconds of this process, and what was found. The last lines count the verdicts
and list what was not kept, with the reason where it is known to be the network's own. The networks are those of
torchvision with random weights, a small LSTM and a small encoder of tokens. `exports` takes most of the time.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torchvision import models

from archcheck.judging.engine import check
from archcheck.rules import (
    DeterministicInEval,
    Exports,
    FiniteOutput,
    GradientsReach,
    IndependentOfBatch,
    InitialLoss,
    OverfitsOneBatch,
    StateDictRoundTrip,
)
from archcheck.rules.base import Rule, rule_name
from archcheck.rules.findings import Outcome, Verdict

RULES: tuple[Rule, ...] = (
    FiniteOutput(),
    DeterministicInEval(),
    IndependentOfBatch(),
    GradientsReach(),
    InitialLoss(),
    OverfitsOneBatch(),
    StateDictRoundTrip(),
    Exports(),
)
TORCHVISION = (
    "resnet18",
    "mobilenet_v2",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "swin_t",
    "vit_b_16",
)
KNOWN = {
    ("inception_v3", "initial-loss"): "it draws the last layer with a deviation of 0.1 over 2,048 features",
    (
        "vit_b_16",
        "overfits-one-batch",
    ): "a step takes a hundred billion multiply-accumulates: too many",
}
"""What is not kept for a reason of the network's own."""


class Sentences(nn.Module):
    """The last state of an LSTM, as scores."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(100, 32)
        self.lstm = nn.LSTM(32, 64, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        outputs, _ = self.lstm(self.tokens(tokens))
        return self.head(outputs[:, -1])


class Encoder(nn.Module):
    """Scores of the classes of a sequence of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(100, 32)
        self.positions = nn.Parameter(torch.randn(16, 32) * 0.02)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.tokens(tokens) + self.positions).mean(1))


def networks() -> dict[str, Callable[[], tuple[nn.Module, Any]]]:
    tokens = torch.randint(0, 100, (2, 16), generator=torch.Generator().manual_seed(0))
    small: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
        "lstm": lambda: (Sentences(), tokens),
        "encoder": lambda: (Encoder(), tokens),
    }
    return small | {name: lambda name=name: of_torchvision(name) for name in TORCHVISION}


def of_torchvision(name: str) -> tuple[nn.Module, torch.Tensor]:
    size = 299 if name == "inception_v3" else 224
    return models.get_model(name, weights=None), torch.randn(1, 3, size, size)


def judged(name: str, rule: Rule) -> tuple[Outcome, float]:
    torch.manual_seed(0)
    model, example = networks()[name]()
    start = time.process_time()
    outcome = check(model, example=example, rules=[rule]).outcomes[0]
    return outcome, time.process_time() - start


def show(name: str, outcome: Outcome, seconds: float) -> None:
    print(f"{name:<17}{outcome.rule:<23}{outcome.verdict:<8}{seconds:>6.1f} s  {outcome.summary}", flush=True)
    for note in outcome.notes:
        print(f"{'':<57}{note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(networks()), default=list(networks()), metavar="NAME")
    parser.add_argument("--rules", nargs="*", default=[rule_name(rule) for rule in RULES], metavar="RULE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    summarise(list(rows(options.only, [rule for rule in RULES if rule_name(rule) in options.rules])))


def rows(names: Sequence[str], rules: Sequence[Rule]) -> list[tuple[str, Outcome]]:
    found = []
    for name in names:
        for rule in rules:
            outcome, seconds = judged(name, rule)
            show(name, outcome, seconds)
            found.append((name, outcome))
    return found


def summarise(found: Sequence[tuple[str, Outcome]]) -> None:
    counts = Counter(outcome.verdict.value for _, outcome in found)
    print(", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    for name, outcome in found:
        if outcome.verdict is not Verdict.KEPT:
            print(f"{name} {outcome.headline}; {KNOWN.get((name, outcome.rule), 'NOT EXPLAINED')}")


if __name__ == "__main__":
    main()
