"""Integers that choose numbers of a table, a count or a draw weigh like the numbers; sizes and positions do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.measure import measure_model

GENERATOR = torch.Generator().manual_seed(0)
LEVELS = torch.randint(0, 256, (640,), generator=GENERATOR).tolist()
CHOICES = torch.randperm(4000, generator=GENERATOR)[:640].tolist()


class Weighed(nn.Module):
    """A linear layer, and a weight of shape (10, 64) that `make` returns."""

    def __init__(self, make):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.make = make

    def forward(self, x):
        return self.linear(x) + F.linear(x, self.make(x))


class Scaled(nn.Module):
    """Like `Weighed`, but each number is combined with the input separately."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        rows = [sum(x[:, j] * torch.ones(CHOICES[64 * k + j] + 3).sum() for j in range(64)) for k in range(10)]
        return self.linear(x) + torch.stack(rows, 1)


class Deep(nn.Module):
    """Noise of the same form in each of 100 layers, and sizes that differ from layer to layer."""

    def __init__(self, forward):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(10 + i, 11 + i) for i in range(100))
        self.run = forward

    def forward(self, x):
        for layer in self.layers:
            x = self.run(layer(x))
        return x


def beside(model, *shape):
    return measure_model(model, example=torch.rand(2, *shape)).params.numbers_beside


def stacked(number, choices=CHOICES):
    return torch.stack([number(choice) for choice in choices]).view(10, 64).float()


GRID = (-1.0, 1.0, 256)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: stacked(lambda k: torch.ones(k + 3).sum()),
        lambda x: stacked(lambda k: x.new_ones(k + 3).sum()),
        lambda x: stacked(lambda k: torch.ones(1).expand(k + 3).sum()),
        lambda x: stacked(lambda k: F.pad(torch.ones(1), (0, k), value=1.0).sum()),
        lambda x: stacked(lambda k: torch.arange(k + 3)[-1]),
        lambda x: stacked(lambda k: torch.linspace(0, 1, k + 3)[1]),
        lambda x: stacked(lambda k: torch.eye(k + 3).sum() if k < 200 else torch.ones(k + 3).sum()),
        lambda x: stacked(torch.linspace(*GRID).__getitem__, LEVELS),
        lambda x: stacked(lambda k: torch.linspace(*GRID).roll(k)[0], LEVELS),
        lambda x: stacked(lambda k: torch.linspace(*GRID).as_strided((), (), k), LEVELS),
        lambda x: stacked(torch.randn(4000).sort().values.__getitem__),
        lambda x: stacked(lambda k: torch.randint(k, k + 2, ())),
    ],
)
def test_integers_that_choose_numbers_count(make):
    assert beside(Weighed(make), 64) > 150


def test_integers_that_choose_numbers_count_where_each_meets_the_input_alone():
    assert beside(Scaled(), 64) > 150


@pytest.mark.parametrize(
    "make",
    [
        lambda x: torch.sin(torch.arange(10)[:, None] * torch.arange(64) / 100),
        lambda x: torch.stack([torch.arange(64) * k for k in range(10)]).float(),
        lambda x: torch.stack([torch.arange(640)[64 * k : 64 * k + 64] for k in range(10)]).float(),
        lambda x: torch.cat([torch.ones(k).cumsum(0) for k in range(36)] + [torch.zeros(10)]).view(10, 64),
        lambda x: torch.stack([torch.eye(64)[k] for k in range(10)]),
        lambda x: torch.randn(10, 64) * 0.1,
    ],
)
def test_sizes_and_positions_that_count_up_do_not_count(make):
    assert beside(Weighed(make), 64) <= 64


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x + torch.randn(x.shape) * 0.1,
        lambda x: x + torch.zeros(x.shape[-1]),
        lambda x: x + torch.arange(x.shape[-1]) / x.shape[-1],
        lambda x: x * torch.linspace(0, 1, x.shape[-1]),
    ],
)
def test_sizes_that_differ_from_layer_to_layer_do_not_count(forward):
    assert beside(Deep(forward), 10) <= 64


class Edges(nn.Module):
    """A linear layer whose result goes through a fixed sparse matrix of few elements, made of many integers."""

    def __init__(self, layout):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.layout = layout

    def forward(self, x):
        edges = torch.cat([torch.arange(level % 4, level % 4 + 1) for level in LEVELS[:400]]).view(2, -1)
        matrix = torch.sparse_coo_tensor(edges, torch.ones(200), (4, 4), check_invariants=False)
        return torch.mm(matrix.to_sparse(layout=self.layout), self.linear(x).T).T


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
def test_a_small_sparse_matrix_is_worth_no_more_than_its_elements(layout):
    assert beside(Edges(layout), 4) <= 16
