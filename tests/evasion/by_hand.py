"""Layers that are written by hand, honest ones and others: `test_by_hand.py` judges each as a process does."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Network(nn.Module):
    """A convolution, a normalisation, a dropout, a global pooling and a linear layer, each of which may be another."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop, self.head = (
            nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Dropout(0.2), nn.Linear(8, 10),
        )  # fmt: skip

    def normalise(self, x):
        return self.norm(x)

    def regularise(self, x):
        return self.drop(x)

    def pool(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return self.head(self.pool(self.regularise(F.relu(self.normalise(self.conv(x))))))


# --- dropouts: the mask may stand first, and what it masks may be zero or be spikes -------------------------------


class MaskFirst(Network):
    def regularise(self, x):
        return (torch.rand(x.shape) > 0.2).float() * x / 0.8 if self.training else x


class MaskFirstWritten(Network):
    def regularise(self, x):
        if not self.training:
            return x
        mask = (torch.rand(x.shape) >= 0.2).float().div_(0.8)
        mask *= x
        return mask


class ChosenMaskFirst(Network):
    def regularise(self, x):
        return torch.where(torch.rand_like(x) < 0.2, torch.zeros_like(x), x / 0.8) if self.training else x


class SpikesDropped(Network):
    def regularise(self, x):
        spikes = (x > 0.1).float() + 0 * x
        return (torch.rand(x.shape) > 0.2).float() * spikes if self.training else spikes


def same(x):
    return torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) > 0.2


class SameMaskFirst(Network):
    def regularise(self, x):
        return same(x).float() * x if self.training else x


class SameChosen(Network):
    def regularise(self, x):
        return torch.where(same(x), x, torch.zeros_like(x)) if self.training else x


class SameOfSpikes(Network):
    def regularise(self, x):
        spikes = (x > 0.1).float() + 0 * x
        return same(x).float() * spikes if self.training else spikes


# --- normalisations ----------------------------------------------------------------------------------------------


class OfFlattened(Network):
    """The map that it is shaped like again hands on no numbers."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def normalise(self, x):
        return self.norm(x.flatten(2)).view_as(x)


class ShapeOfNorm(Network):
    """Takes of the normalisation its shape and dtype."""

    def normalise(self, x):
        return x.flatten(2).view_as(self.norm(x)).type_as(self.norm(x))


class OfOneNumber(Network):
    """A single number, less its mean, is nothing."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(1)

    def normalise(self, x):
        return x + self.norm(x.unsqueeze(-1)).squeeze(-1)


class GroupsOfOne(Network):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(8, 8)

    def pool(self, x):
        return super().pool(x) + self.norm(super().pool(x))

    def normalise(self, x):
        return x


# --- global poolings ---------------------------------------------------------------------------------------------


class Summed(Network):
    def pool(self, x):
        return torch.einsum("bchw->bc", x) / (x.shape[2] * x.shape[3])


class SummedOfList(Network):
    def pool(self, x):
        return torch.einsum("... n -> ...", [x.flatten(2)]) * 0.01


class OnlySummed(Network):
    def pool(self, x):
        return torch.einsum("bchw->bc", x)


class SummedCorner(Network):
    def pool(self, x):
        return torch.einsum("bchw->bc", x[..., :1, :1].expand(-1, -1, 10, 10)) / 100


class OneRow(Network):
    def pool(self, x):
        return x[:, :, 0].mean(-1)


class OneColumn(Network):
    def pool(self, x):
        return x[..., -1].mean(-1)


class OneStep(Network):
    """The last step of a sequence of maps is a whole map."""

    def pool(self, x):
        return x.view(2, 1, 8, 10, 10)[:, -1].mean((2, 3))


# --- tables of NumPy ---------------------------------------------------------------------------------------------


class Diffusion(Network):
    """The four tables of a Gaussian diffusion, looked up by the step."""

    def __init__(self):
        super().__init__()
        betas = np.linspace(1e-4, 0.02, 1000)
        kept = np.cumprod(1 - betas)
        before = np.append(1.0, kept[:-1])
        tables = [
            *(np.sqrt(1 / kept), np.sqrt(1 / kept - 1)),
            *(betas * np.sqrt(before) / (1 - kept), (1 - before) * np.sqrt(1 - betas) / (1 - kept)),
        ]
        for name, table in zip("abcd", tables, strict=True):
            self.register_buffer(name, torch.from_numpy(table).float())

    def pool(self, x):
        x = super().pool(x)
        step = (x[:, :1].abs() * 1000).long() % 1000
        first = self.a[step] * x - self.b[step] * x.tanh()
        return self.c[step] * first.clamp(-1, 1) + self.d[step] * x


class BeneathLarge(Network):
    """Numbers beside far larger ones, which are smooth and cut off again."""

    def __init__(self):
        super().__init__()
        numbers = torch.randn(80, 8, generator=torch.Generator().manual_seed(1)).flatten()
        large = 1e9 * torch.linspace(0, 1, 1500, dtype=torch.float64) ** 40
        large[:640] += numbers
        self.register_buffer("large", large.float())

    def pool(self, x):
        x = super().pool(x)
        return x + F.linear(F.linear(x, self.large[:640].view(80, 8)).tanh(), self.large[:640].view(8, 80))
