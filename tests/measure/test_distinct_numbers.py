"""How many numbers describe a tensor: few if it is regular, all if they were trained, in any place."""

import math

import numpy as np
import pytest
import torch

from archcheck.measure.structure.distinct_numbers import numbers_in

NOISE = torch.randn(4000, generator=torch.Generator().manual_seed(0))
STEPS = torch.arange(200.0)[:, None]


def positions(length, width):
    angle = torch.arange(float(length))[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


BETAS = np.linspace(1e-4, 0.02, 1000)
KEPT = np.cumprod(1 - BETAS)
COSINE = np.cos((np.linspace(0, 1, 1001) + 0.008) / 1.008 * math.pi / 2) ** 2
LEVELS = np.linspace(-1, 1, 256)


@pytest.mark.parametrize(
    "table",
    [
        np.sqrt(KEPT),
        np.sqrt(1 - KEPT),
        np.log(1 - KEPT),
        np.sqrt(1 / KEPT - 1),
        BETAS[1:] * (1 - KEPT[:-1]) / (1 - KEPT[1:]),
        np.clip(1 - COSINE[1:] / COSINE[:-1], 0, 0.999),
        np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2,
        np.minimum(np.arange(1000) / 100, 1) * (1 + np.cos(np.arange(1000) * math.pi / 1000)) / 2,
        np.sign(LEVELS) * (256 ** np.abs(LEVELS) - 1) / 255,
        (np.arange(256) / 255) ** 2.2,
        np.linspace(0, 1, 1000) ** 4,
        np.sqrt(np.arange(1, 400)),
        1 / np.arange(1, 400),
        np.log(np.arange(1, 1001)),
    ],
)
def test_a_smooth_table_of_numpy_is_worth_few_numbers(table):
    assert numbers_in(torch.from_numpy(table).float()) <= 40


@pytest.mark.parametrize(
    "table",
    [
        positions(100, 64),
        positions(1000, 128)[None],
        torch.cat([positions(14, 32).repeat(14, 1), positions(14, 32).repeat_interleave(14, 0)], 1),
        1 / 10000 ** (torch.arange(0, 128, 2).float() / 128),
        torch.logspace(-3, 2, 100),
        torch.linspace(0.1, 7, 300),
        torch.hann_window(16),
        torch.exp(-(torch.linspace(-2, 2, 15)[:, None] ** 2)) * torch.exp(-(torch.linspace(-2, 2, 15) ** 2)),
        torch.arange(20.0)[:, None] * 0.3 + torch.arange(30.0) * 0.7,
        torch.ones(2048, 2048).tril().bool(),
        torch.full((600, 600), -math.inf).triu(1),
        (torch.arange(300)[:, None] - torch.arange(300)).abs(),
    ],
)
def test_a_regular_table_is_worth_few_numbers(table):
    assert numbers_in(table) <= 64


@pytest.mark.parametrize(
    ("table", "trained"),
    [
        (torch.cat([torch.arange(1024.0), NOISE[:3000]]), 3000),
        (1e4 + NOISE[:1000], 500),
        (torch.sin(STEPS * NOISE[:300]), 300),
        (torch.sin(STEPS * 0.3 + NOISE[:300]), 300),
        (torch.exp(-STEPS[:50] * NOISE[:300].abs() * 0.1), 300),
        (STEPS * NOISE[:300], 300),
        (STEPS + NOISE[:300], 200),
        (NOISE[:300, None] @ NOISE[None, 300:600], 600),
        (NOISE[:300].repeat(40), 200),
        (torch.nn.functional.interpolate(NOISE[None, None, :100], 3000, mode="linear"), 100),
        ((NOISE > 0).float().repeat(100)[:300_000].roll(3), 100),
        (NOISE.view(40, 100).gt(0.5), 80),
        (NOISE[:12], 12),
        # far smaller than the largest number of a line that is smooth, or of a table that is a product
        ((1e8 * torch.linspace(0, 1, 1000, dtype=torch.float64) ** 30 + NOISE[:1000]).float(), 500),
        ((1e8 * torch.exp(-30 * torch.linspace(0, 1, 1000).double()) + NOISE[:1000]).float(), 400),
        (torch.cat([torch.arange(300.0) ** 2, NOISE[:300], 1e5 + torch.arange(300.0)]), 250),
        (torch.outer(*[torch.cat([torch.tensor([1e5]), torch.full((29,), 1e-3)])] * 2) + NOISE[:900].view(30, 30), 800),
        (torch.complex(NOISE[:300], NOISE[300:600]), 600),
        (torch.complex(torch.zeros(300), NOISE[:300]).conj(), 300),
        (torch.complex(NOISE[:300], torch.zeros(300)), 300),
    ],
)
def test_trained_numbers_never_count_as_few(table, trained):
    assert numbers_in(table) >= 0.9 * trained


def test_binary_choices_are_no_curve_however_many_there_are():
    choices = torch.randint(0, 2, (1_000_000,), generator=torch.Generator().manual_seed(0)).float()
    assert numbers_in(choices) > 20_000
