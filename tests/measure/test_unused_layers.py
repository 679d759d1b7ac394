"""Layers that do nothing for an output, with and without parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import Apply, zeros
from torch import nn

from archcheck.measure import measure_model


def unused(model, *inputs):
    return measure_model(model, example=inputs or (zeros(2, 3),)).unused_layers


def only_a(self, x):
    return self.a(x)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dropout(0.5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Identity(),
        nn.CrossEntropyLoss(),
        nn.Linear(3, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_is_never_called_is_unused(layer):
    assert unused(Apply(only_a, a=nn.Linear(3, 3), b=layer)) == ("b",)


def test_only_the_outermost_layer_of_an_unused_branch_is_listed():
    branch = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))
    assert unused(Apply(only_a, a=nn.Linear(3, 3), b=branch, b2=nn.ReLU())) == ("b", "b2")


def test_a_layer_in_a_used_container_is_listed_alone():
    layers = nn.ModuleList([nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)])
    assert unused(Apply(lambda self, x: self.a[2](self.a[0](x)), a=layers)) == ("a.1",)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Identity())])
def test_a_layer_whose_result_is_dropped_is_unused(layer):
    def forward(self, x):
        self.b(x)
        return self.a(x)

    assert unused(Apply(forward, a=nn.Linear(3, 3), b=layer)) == ("b",)


class Aided(nn.Module):
    """Has a head and a dropout that only training uses, and a norm that only evaluation uses."""

    def __init__(self):
        super().__init__()
        self.body, self.aid, self.drop, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.Dropout(0.5), nn.LayerNorm(3)

    def forward(self, x):
        x = self.body(x)
        return (x, self.aid(self.drop(x))) if self.training else self.norm(x)


def test_what_one_mode_uses_is_used():
    assert unused(Aided()) == ()


def test_a_dropout_that_evaluation_passes_by_is_used():
    assert unused(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Identity(), nn.Dropout(0.0))) == ()


class Shared(nn.Module):
    """One activation under three names."""

    def __init__(self):
        super().__init__()
        self.first = nn.ReLU()
        self.second = self.third = self.first

    def forward(self, x):
        return self.third(x)


class Grid(nn.Module):
    """A layer without parameters whose other method than `forward` is called."""

    def points(self, x):
        return x + torch.arange(3.0)


class Parameters(nn.Module):
    """Parameters in containers that are never called, and empty containers."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(3, 3))])
        self.more, self.layers, self.shortcut = nn.ModuleDict(), nn.ModuleList(), nn.Sequential()
        self.table = nn.Module()
        self.table.register_buffer("rows", torch.ones(3))

    def forward(self, x):
        return F.linear(x, self.weights[0]) + self.table.rows


@pytest.mark.parametrize(
    "model",
    [
        Shared(),
        Parameters(),
        Apply(lambda self, x: self.grid.points(x), grid=Grid()),
        Apply(lambda self, x: self.m(x, x, x)[0], m=nn.MultiheadAttention(3, 1)),
        nn.TransformerEncoderLayer(3, 1, 8, batch_first=True),
        Apply(lambda self, x: F.linear(x, self.a.weight), a=nn.Linear(3, 3, bias=False)),
        Apply(lambda self, x: self.a[0](x), a=nn.ModuleList([nn.Identity()])),
        torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU())),
    ],
    ids=lambda model: type(model).__name__,
)
def test_no_false_alarm(model):
    assert unused(model, zeros(1, 2, 3)) == ()


def test_the_model_itself_is_never_unused():
    assert unused(nn.Identity()) == ()


def test_a_published_model_with_layers_that_are_never_called():
    # The first block of each stage of EfficientNet builds a stochastic depth and has no shortcut that would call it.
    from torchvision.models import efficientnet_b0

    with torch.device("meta"):
        model = efficientnet_b0()
    idle = unused(model, zeros(1, 3, 64, 64))
    assert idle == tuple(f"features.{stage}.0.stochastic_depth" for stage in range(1, 8))
