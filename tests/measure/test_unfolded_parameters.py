"""Parameters that hold several numbers each count as these; honest expansions count as the parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archcheck.measure import measure_model


class Expanded(nn.Module):
    """A linear layer, and a weight of shape (10, 64) that is made of the parameter `p`."""

    def __init__(self, parameter, make, trained=True):
        super().__init__()
        self.p = nn.Parameter(parameter, requires_grad=trained)
        self.linear = nn.Linear(64, 10)
        self.make = make

    def forward(self, x):
        weight = self.make(self.p)
        return self.linear(x) + F.linear(x, F.pad(weight.flatten().float(), (0, 640 - weight.numel())).view(10, 64))


def hidden(*args, **options):
    return measure_model(Expanded(*args, **options), example=torch.rand(2, 64)).params.hidden_total


def digits(base, count):
    def make(p):
        found = []
        for _ in range(count):
            digit = (p * base).floor()
            found.append(digit)
            p = p * base - digit
        return torch.cat(found)

    return make


def by_comparison(p):
    found = []
    for _ in range(8):
        found.append((p > 0.5).to(p))
        p = (p * 2) % 1
    return torch.cat(found)


@pytest.mark.parametrize(
    ("parameter", "make", "count"),
    [
        (torch.rand(80, dtype=torch.float64), digits(256, 6), 480),
        (torch.rand(100), digits(256, 3), 300),
        (torch.rand(100), digits(4096, 2), 200),
        (torch.rand(80, dtype=torch.float64), lambda p: torch.cat([torch.sin(p * 100 * 2**k) for k in range(8)]), 640),
        (
            torch.rand(80, dtype=torch.float64),
            lambda p: torch.cat([torch.frac(p * 2**k) for k in range(0, 40, 5)]),
            640,
        ),
        (
            torch.rand(70, dtype=torch.complex128),
            lambda p: torch.view_as_real(p).view(torch.int8).flatten()[:640],
            1120,
        ),
    ],
)
def test_what_is_taken_out_of_a_parameter_counts(parameter, make, count):
    assert count - len(parameter) <= hidden(parameter, make) <= max(count, 640) - len(parameter)  # padded to 640


class Positions(nn.Module):
    """What a parameter and positions make, added to sequences of 8,000 steps."""

    def __init__(self, parameter, make):
        super().__init__()
        self.p, self.make, self.linear = nn.Parameter(parameter), make, nn.Linear(len(parameter), 4)

    def forward(self, x):
        return self.linear(x + self.make(torch.arange(x.shape[1]).float(), self.p))


def turned(t, p):
    """Columns in pairs, as in rotary embeddings: half of the parameter are frequencies, half are phases."""
    angle = t[:, None] * p[: len(p) // 2] + p[len(p) // 2 :]
    return torch.cat([angle.sin(), angle.cos()], 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda t, p: torch.sin(t[:, None] * p),
        lambda t, p: torch.cos(torch.outer(t, p.exp())),
        lambda t, p: torch.sin(t[:, None] * p) * torch.exp(-t[:, None] / 4000),
        lambda t, p: torch.sin(p[:, None] * t).t(),
        lambda t, p: torch.exp(1j * t[:, None] * p).imag,
        turned,
    ],
)
def test_far_positions_of_learned_frequencies_hide_nothing(make):
    torch.manual_seed(0)
    facts = measure_model(Positions(torch.rand(16) * 2, make), example=torch.rand(1, 8000, 16))
    assert facts.params.hidden_total == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda t, p: torch.sin(t[:, None] ** 2 * p * 10),
        lambda t, p: torch.frac(torch.sin(t[:, None] * 12.9898 * p) * 43758.5453),
        lambda t, p: torch.sin(t[:, None] * p) + 0.1 * torch.frac(torch.sin(t[:, None] * p) * 1e5),
    ],
)
def test_positions_that_scatter_numbers_count(make):
    torch.manual_seed(0)
    facts = measure_model(Positions(torch.rand(16) * 2, make), example=torch.rand(1, 8000, 16))
    assert facts.params.hidden_total >= 16 * 8000 - 16


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.cat([(p // 256**k) % 256 for k in range(7)]),
        lambda p: torch.cat([(p >> 8 * k) & 255 for k in range(7)]),
        lambda p: torch.stack([(p >> 8 * k).remainder(256) for k in range(7)]),
    ],
)
def test_digits_of_integers_count_whatever_takes_them(make):
    assert hidden(torch.randint(2**56, (60,)), make, trained=False) == 7 * 60 - 60


@pytest.mark.parametrize(
    ("parameter", "make"),
    [
        (torch.randn(74), lambda p: torch.outer(p[:10], p[10:])),
        (torch.randn(74), lambda p: p[:10, None] + p[10:]),
        (torch.rand(80), lambda p: torch.cat([p**k for k in range(1, 9)])),
        (torch.rand(10), lambda p: torch.sin(p[:, None] * torch.arange(64))),
        (torch.randn(64), lambda p: p.expand(10, 64)),
        (torch.randn(16), lambda p: F.interpolate(p.view(1, 1, 4, 4), (10, 64), mode="bilinear")),
        (torch.randn(160), lambda p: p.view(10, 16) @ torch.ones(16, 64).tril()),
        (torch.randn(640), lambda p: (p * 8).round() / 8),
        (torch.randn(640), lambda p: (p > 0).float() - (p < 0).float()),
        (torch.randn(64), lambda p: torch.softmax(p, 0).cumsum(0).expand(10, 64)),
        (torch.randn(33, dtype=torch.complex64), lambda p: torch.fft.irfft(p, 64).expand(10, 64)),
    ],
)
def test_smooth_expansions_of_a_parameter_hide_nothing(parameter, make):
    assert hidden(parameter, make) == 0


class Multiplied(nn.Module):
    """The input is combined with numbers made of the parameter `p`, one by one."""

    def __init__(self, parameter, make):
        super().__init__()
        self.p = nn.Parameter(parameter)
        self.make = make

    def forward(self, x):
        return x * self.make(self.p).to(x.dtype)


@pytest.mark.parametrize(("size", "more"), [(33, 0), (64, 0), (65, 65), (100, 100)])
def test_few_numbers_more_than_a_parameter_has_are_a_setting(size, more):
    model = Multiplied(torch.rand(size, dtype=torch.float64), lambda p: torch.cat([p * 2**20 % 1, p * 2**24 % 1]))
    assert measure_model(model, example=torch.rand(2, 2 * size)).params.hidden_total == more
