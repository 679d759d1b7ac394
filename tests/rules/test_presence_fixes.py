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


class Attends(nn.Module):
    """Attention of all positions to the first `keys` of them, written in several ways."""

    def __init__(self, way, keys):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)
        self.way, self.keys = way, keys

    def forward(self, x):
        there = x[:, : self.keys]
        if self.way == "layer":
            return self.heads(x, there, there)[0]
        q, k, v = self.q(x), self.k(there), self.v(there)
        if self.way == "operator":
            return F.scaled_dot_product_attention(q, k, v)
        scores = q @ k.transpose(1, 2) / 8**0.5
        if self.way == "exponentials":
            scores = scores.exp()
            return (scores / scores.sum(-1, keepdim=True)) @ v
        return F.dropout(scores.softmax(-1), 0.1, self.training) @ v


@pytest.mark.parametrize("way", ["layer", "operator", "exponentials", "softmax"])
def test_an_attention_to_one_position_is_none(way):
    rules = [Requires(kinds=("attention",))]
    kept, broken = (check(Attends(way, keys), example=torch.zeros(2, 5, 8), rules=rules).outcomes[0] for keys in (2, 1))
    assert kept.verdict == "kept"
    assert broken.verdict == "broken"
    assert "attends to a single position" in broken.summary
