"""The optimiser of the small networks: Adam, if the eigenvectors of the second moments were the axes."""

from copy import deepcopy

import pytest
import torch
from torch import nn, optim

from reference_models.mnist.optimise import make_optimizer
from reference_models.mnist.recipes import FRONTIER
from reference_models.mnist.soap import Soap

SETTINGS = {"lr": 0.1, "betas": (0.9, 0.99), "factor_beta": 0.99, "every": 2, "whole": 60}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(7)


def moved(gradients, **settings):
    """Where the steps of these gradients lead from 0, in double precision."""
    weight = nn.Parameter(torch.zeros_like(gradients[0]))
    optimizer = Soap([weight], **{**SETTINGS, **settings})
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def rotation(size):
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]


@pytest.mark.parametrize(("shape", "sides"), [((50,), {"rows": 50}), ((9, 4, 3), {"rows": 9, "columns": 12})])
def test_the_axes_are_those_in_which_the_gradients_vary_independently(shape, sides):
    weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    optimizer = Soap([weight], **SETTINGS)
    kept = []
    for _ in range(5):  # every second step turns the axes, from the first one on
        weight.grad = torch.randn_like(weight)
        kept.append(weight.grad.reshape(sides["rows"], -1))
        optimizer.step()
    state = optimizer.state[weight]
    assert {name.partition("_")[0] for name in state if name.endswith("_axes")} == set(sides)
    for side, size in sides.items():
        each = kept if side == "rows" else [gradient.T for gradient in kept]
        moments = sum(0.01 * 0.99 ** (4 - age) * one @ one.T for age, one in enumerate(each))
        turned = state[f"{side}_axes"].T @ moments @ state[f"{side}_axes"]
        assert turned.shape == (size, size)
        torch.testing.assert_close(turned, torch.diag(turned.diagonal()), atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_single_number_takes_the_steps_of_adam(shape):
    gradients = torch.randn(9, *shape, dtype=torch.float64)
    weight = nn.Parameter(torch.zeros(*shape, dtype=torch.float64))
    adam = optim.Adam([weight], lr=0.1, betas=(0.9, 0.99), eps=0)
    for gradient in gradients:
        weight.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(moved(gradients), weight.detach())


def test_gradients_along_the_axes_take_the_steps_of_adam():
    """One parameter at a time has a gradient, so that no two vary together; a step without one does not move it."""
    gradients = torch.zeros(24, 4, dtype=torch.float64)
    for step, gradient in enumerate(gradients):
        gradient[step % 4] = (step % 4 + 1) * (1 + torch.rand(()))
    weight = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    adam = optim.Adam([weight], lr=0.1, betas=(0.9, 0.99), eps=1e-30)
    for gradient in gradients:
        weight.grad = gradient.clone()
        adam.step()
    torch.testing.assert_close(moved(gradients, every=100), weight.detach())


def test_the_first_step_goes_by_the_rate_along_the_gradient():
    gradient = torch.randn(1, 20)
    expected = -0.1 * gradient[0] / gradient.norm()
    # Across it there is nothing but rounding, which the floor has to keep from being scaled up.
    torch.testing.assert_close(moved(gradient), expected, atol=0.005, rtol=0)


def test_the_first_step_of_a_large_tensor_is_orthogonal():
    """In the axes of its rows and columns, a gradient is diagonal: each of its singular values becomes the rate."""
    gradient = torch.randn(1, 7, 3, 4, dtype=torch.float64)
    step = moved(gradient).reshape(7, 12)
    u, _, v = torch.linalg.svd(gradient[0].reshape(7, 12), full_matrices=False)
    torch.testing.assert_close((u.T @ step @ v.T).diagonal(), torch.full((7,), -0.1, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(30,), (9, 11)])
def test_without_any_gradient_nothing_moves(shape):
    assert not moved(torch.zeros(3, *shape)).any()


def test_neighbours_share_a_block_as_long_as_it_has_room():
    sizes = [20, 30, 10, 61, 5, 60, 1]
    weights = [nn.Parameter(torch.zeros(size, 1)) for size in sizes]
    (blocks,) = Soap(weights, **SETTINGS).blocks
    assert [[each.numel() for each in block] for block in blocks] == [[20, 30, 10], [61], [5], [60], [1]]


def test_what_has_no_gradient_counts_as_zero():
    def end(gradient):
        weights = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))]
        optimizer = Soap(weights, **SETTINGS)
        weights[0].grad, weights[1].grad = torch.tensor([1.0, 2.0, 3.0]), gradient
        optimizer.step()
        return torch.cat([weight.detach() for weight in weights])

    assert torch.equal(end(None), end(torch.zeros(2)))


def test_it_reaches_the_bottom_of_a_valley_that_adam_does_not():
    """A valley askew to all axes, ten thousand times as steep across as along."""
    turn = rotation(10).float()
    matrix = turn @ torch.diag(torch.logspace(-4, 0, 10)) @ turn.T

    def height(make):
        weight = nn.Parameter(torch.ones(10))
        optimizer = make([weight])
        for _ in range(300):
            optimizer.zero_grad()
            loss = weight @ matrix @ weight
            loss.backward()
            optimizer.step()
        return loss.item()

    assert height(lambda weights: Soap(weights, **{**SETTINGS, "lr": 0.02})) < 0.1 * height(
        lambda weights: optim.Adam(weights, lr=0.02, betas=(0.9, 0.99))
    )


def test_a_loaded_state_goes_on_with_the_same_bits():
    model = nn.Sequential(nn.Linear(9, 12), nn.BatchNorm1d(12), nn.Linear(12, 2))
    optimizer = make_optimizer(model, FRONTIER)

    def step(net, chosen, seed):
        torch.manual_seed(seed)
        chosen.zero_grad()
        net(torch.randn(16, 9)).square().sum().backward()
        chosen.step()

    for seed in range(5):
        step(model, optimizer, seed)
    twin = deepcopy(model)
    again = make_optimizer(twin, FRONTIER)
    again.load_state_dict(deepcopy(optimizer.state_dict()))
    for seed in range(5, 60):
        step(model, optimizer, seed)
        step(twin, again, seed)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
