import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reference_models.mnist.fused import SPARSE, dropped, pooled_batch_norm


@given(
    n=st.integers(2, 5), channels=st.integers(1, 7), height=st.integers(2, 9), width=st.integers(2, 9),
    last=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_pooled_batch_norm_is_batch_norm_then_pooling(n, channels, height, width, last, seed):
    torch.manual_seed(seed)
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(n, channels, height, width, dtype=torch.float64).to(memory_format=form).requires_grad_()
    norm = nn.BatchNorm2d(channels, momentum=1.0).double()
    nn.init.uniform_(norm.weight, 0.1, 2)
    nn.init.normal_(norm.bias)
    leaves = (x, norm.weight, norm.bias)
    expected = F.max_pool2d(norm(x), 2)
    found, mean, variance = pooled_batch_norm(x, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close((mean, variance), (norm.running_mean, norm.running_var))
    weights = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def zeros_of(shape, probability, seed):
    torch.manual_seed(seed)
    return dropped(torch.ones(shape), probability) == 0


@pytest.mark.parametrize("probability", [0.008, 0.1, 0.19])
def test_zeros_fall_independently_with_the_probability(probability):
    zeros = torch.stack([zeros_of((4, 6, 10, 10), probability, seed).flatten() for seed in range(400)]).double()
    trials, positions = zeros.shape

    def likely(share, expected, count):
        assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / count)

    likely(zeros.mean(), probability, zeros.numel())
    for edge in (zeros[:, 0], zeros[:, -1]):  # no bias where drawing starts and ends
        likely(edge.mean(), probability, trials)
    likely((zeros[:, 1:] * zeros[:, :-1]).mean(), probability**2, trials * (positions - 1))
    counts = zeros.sum(dim=1)  # binomial: variance n p (1 - p)
    assert counts.var() == pytest.approx(positions * probability * (1 - probability), rel=0.4)


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 4, 5)])
def test_every_size_gets_zeros_in_range(shape):
    found = torch.stack([zeros_of(shape, SPARSE, seed) for seed in range(300)])
    assert found.flatten(1).any(dim=0).all()  # every position is chosen at some time
    assert not found.flatten(1).all(dim=0).any()


def test_kept_elements_are_scaled_and_gradients_follow_the_same_zeros():
    torch.manual_seed(0)
    x = torch.randn(4, 6, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    out = dropped(x, 0.1)
    kept = out != 0
    torch.testing.assert_close(out, torch.where(kept, x / 0.9, 0.0))
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, kept / 0.9)
    assert 0 < int((~kept).sum()) < x.numel() / 4


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ends_are_those_of_dropout(probability, expected):
    assert (dropped(torch.ones(50), probability) == expected).all()


def test_drawing_goes_on_when_the_first_gaps_end_too_early(monkeypatch):
    from reference_models.mnist import fused

    draw = fused._gaps
    monkeypatch.setattr(fused, "_gaps", lambda count, probability: draw(3, probability))
    zeros = fused._zeros(500, 0.1)
    assert 20 < len(zeros) < 90
    assert zeros.max() < 500
    assert zeros.min() >= 0
    assert (zeros.diff() > 0).all()
