"""Tensors that do not count beside the parameters, and the same if they hold a weight: statistics, draws, kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from archcheck.measure import measure_model

COUNT = 640
SOME = torch.randn(COUNT, generator=torch.Generator().manual_seed(0))
MANY = 500
"""The numbers of the shortest description of `SOME`."""


def beside(model, *inputs):
    return measure_model(model, example=inputs or torch.rand(2, 10)).params.numbers_beside


class Normed(nn.Module):
    def __init__(self, forward, **options):
        super().__init__()
        self.norm = nn.BatchNorm1d(COUNT, **options)
        self.norm.running_mean.copy_(SOME)
        self.linear = nn.Linear(10, COUNT)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


class Parametrized(nn.Module):
    def __init__(self, make, forward):
        super().__init__()
        self.linear = make(nn.Linear(10, COUNT))
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def own_norm(self, x):
    return self.norm(self.linear(x))


def by_function(self, x):
    return F.batch_norm(self.linear(x), self.norm.running_mean, self.norm.running_var)


def as_a_weight(self, x):
    return self.linear(x) + F.linear(x, self.norm.running_mean.view(64, 10)).sum()


def normed_and_weighed(self, x):
    return self.norm(self.linear(x)) * self.norm.running_mean


@pytest.mark.parametrize(("forward", "options"), [(own_norm, {}), (by_function, {}), (own_norm, {"momentum": None})])
def test_the_statistics_of_a_normalisation_weigh_nothing_where_it_uses_them(forward, options):
    assert beside(Normed(forward, **options)) <= 1  # the epsilon


@pytest.mark.parametrize(
    ("forward", "options"), [(as_a_weight, {}), (normed_and_weighed, {}), (own_norm, {"momentum": 0.0})]
)
def test_statistics_weigh_their_numbers_as_a_weight_and_where_training_never_moves_them(forward, options):
    assert beside(Normed(forward, **options)) > MANY


class OwnStatistics(nn.Module):
    """A normalisation by its own buffers, which follow the data in training if `follows`."""

    def __init__(self, follows, normalise):
        super().__init__()
        self.linear = nn.Linear(10, COUNT)
        self.register_buffer("mean", SOME.clone())
        self.register_buffer("var", SOME.abs() + 1)
        self.follows, self.normalise = follows, normalise

    def forward(self, x):
        return self.normalise(self.linear(x), self.mean, self.var, self.training and self.follows)


def by_batch(x, mean, var, training):
    return F.batch_norm(x, mean, var, training=training)


def by_instance(x, mean, var, training):
    return F.instance_norm(x[..., None].expand(-1, -1, 4), mean, var, use_input_stats=training).mean(-1)


@pytest.mark.parametrize("normalise", [by_batch, by_instance])
def test_own_statistics_weigh_nothing_only_if_they_follow_the_data(normalise):
    assert beside(OwnStatistics(True, normalise)) <= 1  # the epsilon
    assert beside(OwnStatistics(False, normalise)) > 2 * MANY


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, spectral_norm, parametrizations.orthogonal])
def test_what_a_parametrization_keeps_for_itself_weighs_nothing(make):
    assert beside(Parametrized(make, lambda self, x: self.linear(x))) == 0


def test_what_a_parametrization_keeps_weighs_its_numbers_where_others_read_it():
    def forward(self, x):
        return self.linear(x) * self.linear.parametrizations.weight[0]._u

    assert beside(Parametrized(parametrizations.spectral_norm, forward)) > MANY


class Scaled(nn.Module):
    """A layer with a buffer beside a weight that may be parametrized."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(COUNT, 10))
        self.register_buffer("scale", SOME.clone())

    def forward(self, x):
        return F.linear(x, self.weight) * self.scale


def test_a_buffer_of_a_layer_weighs_the_same_once_its_weight_is_parametrized():
    assert beside(parametrizations.spectral_norm(Scaled())) == beside(Scaled()) > MANY


class Queries(nn.Module):
    """Attention of learned queries among themselves, without the input, as at the start of detectors."""

    def __init__(self, make=None):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 4, 20, 8))
        self.linear = nn.Linear(8, 8)
        self.make = make

    def forward(self, x):
        own = self.make() if self.make else F.scaled_dot_product_attention(self.query, self.query, self.query)
        return self.linear(x) + own


def own_generator():
    return torch.randn(1, 4, 20, 8, generator=torch.Generator().manual_seed(1))


def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torch.randn(1, 4, 20, 8)


def test_an_operation_that_could_draw_and_does_not_draws_nothing():
    assert beside(Queries(), torch.rand(2, 4, 20, 8)) == 0


@pytest.mark.parametrize("make", [own_generator, seeded])
def test_a_draw_that_is_the_same_each_time_weighs_its_elements(make):
    assert beside(Queries(make), torch.rand(2, 4, 20, 8)) > MANY
