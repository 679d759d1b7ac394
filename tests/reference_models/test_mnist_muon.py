from copy import deepcopy

import pytest
import torch
from torch import nn, optim

from reference_models.mnist.muon import Muon, orthogonalised
from reference_models.mnist.optimise import make_optimizer
from reference_models.mnist.recipes import SPRINT

ADAM = {"lr": 0.01, "weight_decay": 0.1, "fused": True}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(5)


def newton_schulz(matrix, iterations):
    """The iteration as it is defined, on the matrix itself."""
    x = matrix / matrix.norm()
    for _ in range(iterations):
        x = 3.4445 * x - 4.7750 * (x @ x.T) @ x + 2.0315 * (x @ x.T) @ (x @ x.T) @ x
    return x


def muon(convolutions, others=(), **settings):
    rest = others or [nn.Parameter(torch.zeros(1))]
    return Muon(convolutions, rest, **{"learning_rate": 0.5, "momentum": 0.0, "iterations": 3, **ADAM, **settings})


@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_products_of_small_matrices_give_the_iteration_itself(iterations):
    matrices = torch.randn(3, 8, 20, dtype=torch.float64)
    expected = torch.stack([newton_schulz(each, iterations) for each in matrices])
    torch.testing.assert_close(orthogonalised(matrices, iterations), expected)
    single = orthogonalised(matrices.float(), iterations)
    torch.testing.assert_close(single, expected.float(), atol=2e-5, rtol=0)


def test_singular_values_come_near_one_and_zero_stays_zero():
    matrices = torch.randn(2, 8, 20) * torch.tensor([1e-6, 1e6]).view(-1, 1, 1)
    values = torch.linalg.svdvals(orthogonalised(matrices, 5))
    assert 0.6 < values.min() <= values.max() < 1.25
    assert not orthogonalised(torch.zeros(1, 4, 6), 5).any()


def test_each_convolution_moves_by_its_own_direction_whatever_the_others_size():
    layers = [nn.Conv2d(1, 10, 3), nn.Conv2d(5, 7, 3), nn.Conv2d(4, 6, (1, 2)), nn.Conv1d(3, 9, 2)]
    layers[1].to(memory_format=torch.channels_last)
    weights = [layer.weight for layer in layers]
    before = [weight.detach().clone() for weight in weights]
    gradients = [torch.randn_like(weight) for weight in weights]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    muon(weights).step()
    for weight, old, gradient in zip(weights, before, gradients, strict=True):
        expected = old.flatten(1) - 0.5 * newton_schulz(gradient.flatten(1), 3)
        torch.testing.assert_close(weight.detach().flatten(1), expected, atol=2e-5, rtol=0)


def test_momentum_is_nesterovs():
    (weight,) = [nn.Parameter(torch.zeros(3, 4, 1, 1))]
    one, two = torch.randn(2, 3, 4, 1, 1)
    optimizer = muon([weight], momentum=0.75)
    weight.grad = one.clone()
    optimizer.step()
    before = weight.detach().clone()
    weight.grad = two.clone()
    optimizer.step()
    momentum = 0.75 * (0.25 * one) + 0.25 * two
    expected = before.flatten(1) - 0.5 * newton_schulz((0.25 * two + 0.75 * momentum).flatten(1), 3)
    torch.testing.assert_close(weight.detach().flatten(1), expected, atol=2e-5, rtol=0)


def test_the_others_take_the_steps_of_adam_and_what_has_no_gradient_stays():
    weight, still, other = (nn.Parameter(torch.randn(*shape)) for shape in ((2, 3, 3, 3), (4, 3, 3, 3), (5,)))
    twin, kept = deepcopy(other), still.detach().clone()
    optimizer, adam = muon([weight, still], [other]), optim.Adam([twin], **ADAM)
    for _ in range(3):
        weight.grad, other.grad = torch.randn_like(weight), torch.randn_like(other)
        twin.grad = other.grad.clone()
        optimizer.step()
        adam.step()
    assert torch.equal(other, twin)
    assert torch.equal(still, kept)


def test_a_network_without_convolutions_is_trained_too():
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    optimizer = make_optimizer(model, SPRINT)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.weight, before)
