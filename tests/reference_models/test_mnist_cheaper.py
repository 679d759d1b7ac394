import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reference_models.mnist.cheaper import cheaper
from reference_models.mnist.checkpoint import load_weights
from reference_models.mnist.data import normalised, scaled
from reference_models.mnist.evaluate import COMMITTED
from reference_models.mnist.model import Net

BIASES = {f"{block}.0.bias" for block in ("initial", "block1", "block2", "block3", "final")}


def pair(dropout=0.0, dtype=torch.float64):
    torch.manual_seed(1)
    net = Net(dropout).to(dtype)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1.5, 1.5)  # of either sign, and none of them one
            nn.init.normal_(module.bias)
    return net, copy.deepcopy(net)


def stepped(net, images, labels):
    output = net(images)
    F.nll_loss(output, labels).backward()
    return output


@pytest.mark.parametrize("size", [28, 24])
def test_outputs_gradients_and_buffers_are_those_of_the_network(size):
    plain, other = pair()
    for seed in range(3):
        torch.manual_seed(seed)
        images, labels = torch.randn(16, 1, size, size).double(), torch.randint(0, 10, (16,))
        expected = stepped(plain, images, labels)
        with cheaper(other):
            found = stepped(other, images, labels)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    for (name, parameter), same in zip(plain.named_parameters(), other.parameters(), strict=True):
        if name in BIASES:
            assert same.grad is None
            assert parameter.grad.abs().max() < 1e-12
        else:
            torch.testing.assert_close(same.grad, parameter.grad, rtol=1e-8, atol=1e-10)
    for (name, buffer), same in zip(plain.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(same, buffer, rtol=1e-12, atol=1e-12, msg=name)


def test_dropout_is_the_networks_own_layer_by_layer():
    plain, other = pair(dropout=0.3)
    for net in (plain, other):  # above the probability from which on `fused.dropped` draws as the layer does
        net.transition2[1].p = 0.5
        net.head[2].p = 0.7
    images = torch.randn(8, 1, 28, 28).double()
    torch.manual_seed(5)
    expected = plain(images)
    torch.manual_seed(5)
    with cheaper(other):
        torch.testing.assert_close(other(images), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [1, 3])
def test_a_small_batch_is_a_batch(size):
    plain, other = pair()
    images = torch.randn(size, 1, 28, 28).double()
    expected = plain(images)
    with cheaper(other):
        torch.testing.assert_close(other(images), expected, rtol=0, atol=1e-9)
    for (name, buffer), same in zip(plain.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(same, buffer, rtol=1e-12, atol=1e-12, msg=name)


def test_rounding_of_float32_is_as_small_as_said(sets):
    images = normalised(scaled(sets[0].images[:128]))
    net = Net(0.0).train()
    load_weights(net, COMMITTED)
    exact = copy.deepcopy(net).double()(images.double())
    with cheaper(net):
        assert (net(images) - exact).abs().max() < 1e-3


def test_evaluation_after_the_context_is_the_networks_own():
    plain, other = pair(dropout=0.1)
    images = torch.randn(4, 1, 28, 28).double()
    with cheaper(other):
        pass
    assert torch.equal(other.eval()(images), plain.eval()(images))


def test_evaluation_in_the_context_is_the_networks_own_and_leaves_the_statistics():
    plain, other = pair(dropout=0.1)
    images = torch.randn(4, 1, 28, 28).double()
    with cheaper(other.eval()):
        assert torch.equal(other(images), plain.eval()(images))
    for (name, kept), (_, left) in zip(plain.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(kept, left), name


def test_hooks_see_the_calls_and_the_way_ends_with_the_context():
    net, _ = pair()
    seen = []
    net.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    with cheaper(net):
        net(torch.randn(2, 1, 28, 28).double())
    assert seen == [(2, 1, 28, 28)]
    assert "forward" not in vars(net)


def test_the_way_ends_when_the_step_fails():
    net, _ = pair()
    with pytest.raises(RuntimeError), cheaper(net):
        net(torch.randn(2, 3, 28, 28).double())
    assert "forward" not in vars(net)


def test_a_subclass_keeps_its_own_forward():
    class Doubled(Net):
        def forward(self, images):
            return 2 * super().forward(images)

    net = Doubled()
    with cheaper(net):
        assert "forward" not in vars(net)
