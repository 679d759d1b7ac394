"""Small networks for the tests of the measuring."""

from __future__ import annotations

import torch
from torch import nn

from archcheck.facts.records import CROSS_CHECK
from archcheck.measure import measure_model


class Apply(nn.Module):
    """A model that is one function of its inputs."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def zeros(*shape):
    return torch.zeros(shape)


def rand(*shape):
    return torch.rand(shape)


def checked(model, *inputs, **keywords):
    """Return what fvcore counts beside us."""
    check = measure_model(model, example=keywords or inputs, needs=[CROSS_CHECK]).cross_check
    assert check is not None
    return check


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class Honoured(torch.autograd.Function):
    """Gives its first operand, and pretends to a derivative by the second."""

    @staticmethod
    def forward(ctx, kept, other):
        ctx.shape = other.shape
        return kept.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, torch.ones(ctx.shape)
