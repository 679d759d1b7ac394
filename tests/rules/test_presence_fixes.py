"""What `requires` tells people to do next."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck import check
from archcheck.rules import Requires


class Net(nn.Module):
    def __init__(self, rate=0.5):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.rate = rate

    def forward(self, x):
        return F.dropout(self.conv(x), self.rate)


@pytest.mark.parametrize(
    ("kind", "fix"),
    [
        ("dropout", "`F.dropout(x, p, self.training)`"),
        ("global_avg_pool", "add `nn.AdaptiveAvgPool2d(1)`"),
        ("batch_norm", "call it in `forward` on the way to the output"),
        ("layer_norm", "add `nn.LayerNorm(features)`"),
    ],
)
def test_every_absence_has_a_remedy(kind, fix):
    (outcome,) = check(Net(), example=torch.zeros(1, 1, 8, 8), rules=[Requires(kinds=(kind,))]).outcomes
    assert fix in outcome.findings[0].fix
