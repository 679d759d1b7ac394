"""Networks that the world uses keep the rules of behaviour; `tests/benchmarks/behaviour_zoo.py` tries more of them."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from archcheck.judging.engine import check
from archcheck.rules import (
    DeterministicInEval,
    FiniteOutput,
    GradientsReach,
    IndependentOfBatch,
    InitialLoss,
    StateDictRoundTrip,
)
from archcheck.rules.findings import Verdict

RULES = (
    FiniteOutput(),
    DeterministicInEval(),
    IndependentOfBatch(),
    GradientsReach(),
    InitialLoss(),
    StateDictRoundTrip(),
)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v3_small", "swin_t"])
def test_published_networks_keep_them(name):
    torch.manual_seed(0)
    model = models.get_model(name, weights=None)
    report = check(model, example=torch.randn(1, 3, 64, 64), rules=RULES)
    assert [outcome.headline for outcome in report.outcomes if outcome.verdict is not Verdict.KEPT] == []
