"""Networks in which values decide what runs: most are honest; those that are not say so."""

import random

import numpy as np
import torch
from torch import nn


class Two(nn.Module):
    """Two layers and what chooses between them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)


class Ternary(Two):
    def forward(self, x):
        return self.a(x) if x.mean() > 0 else self.b(x)


class Returns(Two):
    def forward(self, x):
        if x.mean() > 0:
            return self.a(x)
        return self.b(x)


class Nowhere(Two):
    """Dishonest: `b` would run if a mean were above a billion."""

    def forward(self, x):
        x = self.a(x)
        if x.mean() > 1e9:
            x = self.b(x)
        return x


class Rarely(Two):
    """`b` runs for large inputs only."""

    def forward(self, x):
        x = self.a(x)
        if x.abs().max() > 8:
            x = self.b(x)
        return x


class TopOne(nn.Module):
    """A mixture of experts that asks one of eight for each sample."""

    def __init__(self, experts=8, used=8):
        super().__init__()
        self.gate = nn.Linear(8, used)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(experts))

    def forward(self, x):
        chosen, out = self.gate(x).argmax(-1), torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero().flatten()
            if len(rows):
                out = out.index_copy(0, rows, expert(x[rows]))
        return out


class TopTwo(TopOne):
    def forward(self, x):
        weights, chosen = self.gate(x).softmax(-1).topk(2)
        rows = []
        for sample, weight, experts in zip(x, weights, chosen.tolist(), strict=True):
            rows.append(sum(w * self.experts[e](sample) for w, e in zip(weight, experts, strict=True)))
        return torch.stack(rows)


class Biased(TopOne):
    """Its router begins with one expert that it always asks; training moves that."""

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.gate.bias.data[2] = 1.0


class Unreachable(TopOne):
    """Dishonest: the last four of eight experts have no output of the router."""

    def __init__(self):
        super().__init__(experts=8, used=4)


class Pretends(TopOne):
    """Dishonest: the index is always zero."""

    def forward(self, x):
        return self.experts[int((x.sum() * 0).item())](self.gate(x))


class Many(TopOne):
    """So many experts that a few passes reach some of them for the first time."""

    def __init__(self):
        super().__init__(experts=200, used=200)


class Hashed(nn.Module):
    """Tokens choose experts by their number; the example shows few of them."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, 8)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(10))

    def forward(self, tokens):
        x = self.embed(tokens)
        return torch.stack([self.experts[token % 10](row) for token, row in zip(tokens[0].tolist(), x[0], strict=True)])


class Exits(nn.Module):
    """Leaves early where it is sure."""

    def __init__(self):
        super().__init__()
        self.first, self.exit, self.second, self.last = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        x = self.first(x).relu()
        early = self.exit(x).softmax(-1)
        if early.max() > 0.6:
            return early
        return self.last(self.second(x).relu()).softmax(-1)


class PythonDrop(nn.Module):
    """Stochastic depth by Python's random numbers."""

    def __init__(self, p=0.5):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))
        self.p = p

    def drops(self):
        return random.random() < self.p

    def forward(self, x):
        for block in self.blocks:
            if self.training and self.drops():
                continue
            x = x + block(x)
        return x


class NumpyDrop(PythonDrop):
    def drops(self):
        return np.random.rand() < self.p


class TorchDrop(PythonDrop):
    def drops(self):
        return torch.rand(()) < self.p


class OftenDrop(TorchDrop):
    def __init__(self):
        super().__init__(p=0.9)


class AlwaysDrop(TorchDrop):
    """Dishonest: a layer is always dropped in training, and evaluation leaves it out."""

    def forward(self, x):
        for number, block in enumerate(self.blocks):
            if number == 3 and (not self.training or torch.rand(()) < 2.0):
                continue
            x = x + block(x)
        return x


class Halting(nn.Module):
    """Repeats a step until it has changed little."""

    def __init__(self):
        super().__init__()
        self.step, self.out = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        steps = 0
        while x.abs().mean() > 0.3 and steps < 12:
            x, steps = 0.7 * torch.tanh(self.step(x)), steps + 1
        return self.out(x)


class Nonzero(nn.Module):
    """Works on what is above zero only."""

    def __init__(self):
        super().__init__()
        self.point = nn.Linear(1, 4)

    def forward(self, x):
        kept = x[x > 0]
        return self.point(kept[:, None]).sum(0)


class SometimesNorm(nn.Module):
    """Normalises where the numbers are large."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x):
        x = self.a(x)
        if x.std() > 1:
            x = self.norm(x)
        return self.b(x)


class Forbidden(nn.Module):
    """Dishonest: a linear layer behind a condition that few inputs meet."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv1d(2, 2, 3, padding=1), nn.Linear(8, 8)

    def forward(self, x):
        x = self.conv(x)
        return self.linear(x) if x.max() > 20 else x


class Checks(nn.Module):
    """Reads values, and decides nothing by them."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)

    def forward(self, x):
        assert torch.isfinite(x).all()
        self.seen = x.mean().item()
        return self.a(x)


class DropsAtRandom(nn.Module):
    """A dropout that half of the passes in training skip."""

    def __init__(self):
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 8)

    def forward(self, x):
        x = self.a(x)
        if self.training and torch.rand(()) < 0.5:
            x = self.drop(x)
        return self.b(x)


class Heads(nn.Module):
    """Ends in a linear layer for some inputs and in a convolution for others."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv1d(2, 4, 8), nn.Linear(16, 4)

    def forward(self, x):
        if x.mean() > 0:
            return self.linear(x.flatten(1))
        return self.conv(x).flatten(1)


class Never(nn.Module):
    """Dishonest: drops where all numbers are zero."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.drop = nn.Linear(8, 8), nn.Linear(8, 8), nn.Dropout(0.5)

    def forward(self, x):
        x = self.fc1(x)
        if self.training and x.abs().mean().item() == 0:
            x = self.drop(x)
        return self.fc2(x)


class Always(Never):
    """Drops where all numbers are finite, which they are."""

    def forward(self, x):
        x = self.fc1(x)
        if self.training and torch.isfinite(x).all():
            x = self.drop(x)
        return self.fc2(x)


class Extra(nn.Module):
    """A layer more that always runs in training."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.extra = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        x = self.fc1(x)
        if self.training and x.abs().mean().item() > 0:
            x = self.extra(x)
        return self.fc2(x)


class Routed(nn.Module):
    """Experts that get a row, in a loop over those."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(8, 4, bias=False)
        self.experts = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(4))

    def forward(self, x):
        chosen, out = self.gate(x).argmax(-1), torch.zeros_like(x)
        for index in chosen.unique().tolist():
            rows = chosen == index
            out[rows] = self.experts[index](x[rows])
        return out


class Hollow(nn.Module):
    """Dishonest: normalises on one of two ways, and takes nothing of it."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x):
        way = x.mean() > 0
        x = self.a(x)
        if way:
            x = x + 0 * self.norm(x)
        return self.b(x)


class HollowElsewhere(Hollow):
    """Dishonest: the same on the other way."""

    def forward(self, x):
        way = x.mean() <= 0
        x = self.a(x)
        if way:
            x = x + 0 * self.norm(x)
        return self.b(x)
