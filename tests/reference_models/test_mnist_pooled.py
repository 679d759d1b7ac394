"""`fused.pooled_batch_norm` where the layers that it stands for are easily different from it."""

import pytest
import torch
import torch.nn.functional as F

from reference_models.mnist.fused import dropped, pooled_batch_norm

EPS = 1e-5


def in_turn(x, scale, shift):
    """Return pooling of batch normalisation, and the statistics that a momentum of 1 leaves."""
    mean, variance = torch.zeros_like(scale), torch.ones_like(scale)
    out = F.batch_norm(x, mean, variance, scale, shift, training=True, momentum=1.0, eps=EPS)
    return F.max_pool2d(out, 2), mean, variance


def fused(x, scale, shift):
    return pooled_batch_norm(x, scale, shift, EPS)


def found(function, x, scale, shift, gradient):
    """Return output, statistics and gradients; the leaves keep the layouts of what is given."""
    leaves = [tensor.detach().requires_grad_() for tensor in (x, scale, shift)]
    out, *statistics = function(*leaves)
    return out.detach(), *statistics, *torch.autograd.grad(out, leaves, gradient)


def values(*shape):
    """Return input, scale and shift of float64."""
    scale = torch.rand(shape[1], dtype=torch.float64) + 0.1
    return torch.randn(shape, dtype=torch.float64), scale, torch.randn_like(scale)


def every_other(x):
    room = x.new_zeros([2 * length for length in x.shape])
    room[::2, 1::2, ::2, 1::2] = x
    return room[::2, 1::2, ::2, 1::2]


LAYOUTS = {
    "contiguous": torch.clone,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "columns first": lambda x: x.mT.contiguous().mT,
    "samples last": lambda x: x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    "every other": every_other,
}


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 3, 5, 2), (2, 1, 3, 7), (3, 5, 4, 9)])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_inputs_and_gradients_may_lie_in_any_way(shape, layout):
    torch.manual_seed(0)
    x, scale, shift = values(*shape)
    pooled = torch.randn(*shape[:2], shape[2] // 2, shape[3] // 2, dtype=torch.float64)
    for gradient in (layout(pooled), torch.ones(1, dtype=torch.float64).expand_as(pooled)):
        expected = found(in_turn, x, scale, shift, gradient)
        torch.testing.assert_close(found(fused, layout(x), scale, shift, gradient), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 3, 5, 3), (3, 2, 4, 7)])
def test_gradients_are_those_of_small_differences(shape):
    torch.manual_seed(1)
    leaves = [tensor.requires_grad_() for tensor in values(*shape)]
    assert torch.autograd.gradcheck(lambda *tensors: fused(*tensors)[0], leaves)


@pytest.mark.parametrize("mean", [0, 100])
def test_float32_is_as_near_to_float64_as_the_layers_in_turn_are(mean):
    torch.manual_seed(2)
    x, scale, shift = (tensor.float() for tensor in values(16, 8, 12, 12))
    x += mean
    gradient = torch.randn(16, 8, 6, 6)
    exact = found(in_turn, *(tensor.double() for tensor in (x, scale, shift, gradient)))

    def errors(function):
        pairs = zip(found(function, x, scale, shift, gradient), exact, strict=True)
        return torch.stack([(one - other).abs().max() / other.abs().max() for one, other in pairs])

    assert (errors(fused) < 4 * errors(in_turn) + 1e-6).all()


def test_of_equal_elements_the_first_gets_the_gradient():
    torch.manual_seed(3)
    _, scale, shift = values(2, 3, 6, 6)
    x = torch.randint(0, 2, (2, 3, 6, 6)).double()
    gradient = torch.randn(2, 3, 3, 3).double()
    torch.testing.assert_close(found(fused, x, scale, shift, gradient), found(in_turn, x, scale, shift, gradient))


def test_what_is_no_number_is_seen_in_its_channel():
    torch.manual_seed(4)
    x, scale, shift = values(2, 3, 6, 6)
    x[0, 1, 2, 3] = torch.nan
    assert fused(x, scale, shift)[0].isnan().sum(dim=(0, 2, 3)).tolist() == [0, 18, 0]


def test_statistics_carry_no_gradient():
    x, scale, shift = values(2, 3, 4, 4)
    out, mean, variance = fused(x.requires_grad_(), scale, shift)
    assert (out.requires_grad, mean.requires_grad, variance.requires_grad) == (True, False, False)


@pytest.mark.parametrize("function", [lambda x: fused(x, *values(*x.shape)[1:])[0], lambda x: dropped(x, 0.1)])
def test_second_derivatives_are_refused_and_not_wrong(function):
    x = values(2, 3, 4, 4)[0].requires_grad_()
    (gradient,) = torch.autograd.grad((function(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4, 4), (2, 3, 1, 4), (0, 3, 4, 4)])
def test_what_cannot_be_normalised_and_pooled_is_refused(shape):
    with pytest.raises(RuntimeError):
        fused(torch.ones(shape), torch.ones(3), torch.ones(3))
