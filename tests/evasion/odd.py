"""Networks that do nothing wrong, however odd: by name, each with the shape of its input."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import stochastic_depth

from tests.measure.networks import Apply


def block(zero):
    """A residual block whose last normalisation begins at zero."""
    norm = nn.BatchNorm2d(4)
    nn.init.constant_(norm.weight, zero)
    return Apply(lambda self, x: x + self.norm(self.conv(x)), conv=nn.Conv2d(4, 4, 3, padding=1), norm=norm)


def quantised(self, x):
    """The straight-through estimator of VQ-VAE."""
    code = self.codes[torch.cdist(x, self.codes).argmin(-1)]
    return x + (code - x).detach()


def count(self, x):
    self.calls += 1
    return self.a(x)


def encoded(self, x):
    table = np.sin(np.arange(x.shape[1], dtype="f4")[:, None] / 10)
    return self.a(x + torch.from_numpy(table))


def one_by_one(self, x):
    return torch.stack([self.a(row) for row in x])


def mixed(self, x):
    """Two experts and a gate that chooses by sign."""
    gate = self.gate(x)
    return torch.where(gate > 0, self.a(x), self.b(x))


def restarted(self, x):
    mask = F.dropout(torch.ones_like(x[:, :1]), 0.2, self.training)
    return self.a(x * mask)


def asked(self, x):
    """Four experts, each normalised, of which a sample asks one; the others' results are times zero."""
    shares = F.one_hot(x[:, :4].argmax(-1), 4).to(x)
    return sum(shares[:, [number]] * getattr(self, f"norm{number}")(self.a(x)) for number in range(4))


def routed(self, x):
    """Two experts, of which the larger score chooses one; the share of one is one, so no score has a derivative."""
    scores = self.gate(self.drop(self.norm(x)))
    best = scores.topk(1)
    of_all = torch.stack([self.a(x), self.b(x)], 1)
    return best.values.softmax(-1) * of_all[torch.arange(len(x)), best.indices[:, 0]]


def force(self, x):
    """What pulls at the positions: the derivative of an energy."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        energy = self.b(torch.tanh(self.drop(self.norm(self.a(x))))).sum()
        return torch.autograd.grad(energy, x, create_graph=True)[0]


def slope(self, x):
    """The derivative of a normalisation and what is linear: the size of what is normalised matters, no sum does."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.b(self.norm(self.a(x))).sum(), x, create_graph=True)[0]


def adapted(self, x):
    """Takes a step down a loss of its own before it answers."""
    with torch.enable_grad():
        self.b(self.norm(self.a(x))).square().sum().backward()
    with torch.no_grad():
        for tensor in self.parameters():
            tensor -= 0.01 * tensor.grad
    return self.b(self.norm(self.a(x)))


def dropped(self, x):
    """A layer that Python's own chance leaves out."""
    return self.a(x) if self.training and random.random() < 0.5 else self.b(self.drop(self.a(x)))


def masked(self, x):
    """A mask of a generator of NumPy that the network keeps."""
    kept = self.chance[0].random(6) > 0.5
    return self.a(x) * torch.from_numpy(kept.astype("f4"))


def half(model):
    return model.to(torch.bfloat16)


def allowed(self, x):
    """Scores of which some are not to be chosen, of a network with a branch that is dropped at random."""
    scores = self.a(x) + stochastic_depth(self.drop(self.norm(self.b(x))), 0.7, "batch", self.training)
    return scores.masked_fill(torch.arange(6) > 3, -torch.inf)


def zeros():
    """The last layer of a branch that begins with nothing, as in diffusion models."""
    layer = linear()
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def norm():
    return nn.BatchNorm1d(6)


def linear():
    return nn.Linear(6, 6)


ODD = {
    "a residual branch that begins at zero": (block(0.0), (1, 4, 6, 6)),
    "a gate that begins at zero": (
        Apply(lambda self, x: x + self.gate * self.a(x), a=linear(), gate=nn.Parameter(torch.zeros(1))),
        (2, 6),
    ),
    "a small scale of layers": (
        Apply(lambda self, x: x + self.gate * self.a(x), a=linear(), gate=nn.Parameter(torch.full((6,), 1e-6))),
        (2, 6),
    ),
    "straight-through": (Apply(quantised, codes=nn.Parameter(torch.randn(8, 6))), (3, 6)),
    "a counter that decides nothing": (Apply(count, a=linear(), calls=0), (2, 6)),
    "positions from numpy": (Apply(encoded, a=linear()), (1, 5, 6)),
    "a loop over the batch": (Apply(one_by_one, a=linear()), (3, 6)),
    "experts": (Apply(mixed, a=linear(), b=linear(), gate=linear()), (4, 6)),
    "one mask of dropout for all features": (Apply(restarted, a=linear()), (2, 6)),
    "an attention mask of zeros": (
        Apply(
            lambda self, x: F.scaled_dot_product_attention(self.a(x), x, x, torch.zeros(x.shape[1], x.shape[1])),
            a=linear(),
        ),
        (2, 5, 6),
    ),
    "a rounded normalisation": (
        Apply(lambda self, x: self.a(self.norm(4 * x).round()), a=linear(), norm=norm()),
        (4, 6),
    ),
    "the signs of a normalisation": (
        Apply(lambda self, x: self.norm(self.a(x)).sign(), a=linear(), norm=norm()),
        (4, 6),
    ),
    "a branch that is dropped at random": (
        Apply(
            lambda self, x: x + stochastic_depth(self.drop(self.norm(self.a(x))), 0.7, "batch", self.training),
            a=linear(),
            norm=norm(),
            drop=nn.Dropout(0.1),
        ),
        (2, 6),
    ),
    "a dropout before a layer of zeros": (
        Apply(lambda self, x: x + self.a(self.drop(x)), a=zeros(), drop=nn.Dropout(0.1)),
        (2, 6),
    ),
    "a branch that begins at zero and is dropped at random": (
        Apply(
            lambda self, x: x + stochastic_depth(self.a(self.drop(self.norm(x))), 0.7, "batch", self.training),
            a=zeros(),
            norm=norm(),
            drop=nn.Dropout(0.1),
        ),
        (2, 6),
    ),
    "scores of which some are minus infinity": (
        Apply(allowed, a=linear(), b=linear(), norm=norm(), drop=nn.Dropout(0.1)),
        (2, 6),
    ),
    "a small scale of layers in half precision": (
        half(
            Apply(
                lambda self, x: x + self.gate * self.a(self.drop(self.norm(x))),
                a=linear(),
                norm=norm(),
                drop=nn.Dropout(0.1),
                gate=nn.Parameter(torch.full((6,), 1e-6)),
            )
        ),
        (2, 6),
    ),
    "a layer that is dropped at random": (Apply(dropped, a=linear(), b=linear(), drop=nn.Dropout(0.1)), (2, 6)),
    "a derivative": (Apply(force, a=linear(), b=linear(), norm=norm(), drop=nn.Dropout(0.1)), (2, 6)),
    "a slope": (Apply(slope, a=linear(), b=linear(), norm=norm()), (2, 6)),
    "a step of training": (Apply(adapted, a=linear(), b=linear(), norm=norm()), (2, 6)),
    "complex outputs": (
        Apply(
            lambda self, x: torch.fft.fft(self.drop(self.norm(self.a(x)))),
            a=linear(),
            norm=norm(),
            drop=nn.Dropout(0.1),
        ),
        (2, 6),
    ),
    "experts that nobody asks": (
        Apply(asked, a=linear(), **{f"norm{number}": norm() for number in range(4)}),
        (4, 6),
    ),
    "a normalisation of one token": (
        Apply(lambda self, x: self.norm(self.drop(self.a(x))[:, 0]), a=linear(), norm=norm(), drop=nn.Dropout(0.1)),
        (2, 5, 6),
    ),
    "a transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "a batch that is not the first axis": (nn.GRU(3, 4), (7, 2, 3)),
    "an input of zeros": (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), (0,)),
    "only one size of the batch": (Apply(lambda self, x: self.a(x.view(2, 6)), a=linear()), (2, 6)),
}
