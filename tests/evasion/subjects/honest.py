"""The network that every subject here pretends to be: 98 parameters, batch normalisation, dropout, a linear head."""

import torch
from torch import nn
from torch.nn import functional as F


class Honest(nn.Module):
    """Does what it says: convolution, batch normalisation, dropout, global pooling, linear head."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.finish(self.normalise(self.conv(x)))

    def normalise(self, x):
        return self.norm(x)

    def regularise(self, x):
        return self.drop(x)

    def finish(self, x):
        return self.head(self.regularise(torch.relu(x)).mean((2, 3)))


class Large(Honest):
    """Has a head of 5,140 parameters, more than any contract here allows."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(64, 64)
        self.more = nn.Linear(64, 10)

    def forward(self, x):
        return super().forward(x) + self.more(torch.relu(self.wide(x.flatten(1)[:, :64])))


def table():
    """Return 4,096 numbers that act as a weight wherever they are kept."""
    return torch.randn(64, 64)


def mixed(x, weight):
    """Let `weight` take part in what a network returns."""
    return F.linear(x.flatten(1)[:, :64], weight)[:, :10]
