"""The network's forward pass in training, as the same function at less cost.

`Net.forward` is what the documents describe; a training step spends half of its time outside of the
convolutions. These equalities save most of that, to rounding:

* A convolution's bias vanishes in the batch normalisation after it: `BN(x + b) = BN(x)`. It is added to the
  running mean alone, and gets no gradient, where `Net.forward` would give it rounding errors around zero.
* A maximum commutes with functions that rise, as normalisation and ReLU do, so pooling comes before both, and they
  are left with a quarter of the elements. Where a normalisation falls, its scale below 0, both the convolution and
  the scale change their signs.
* What the first convolution gives is linear in patches of nine pixels, so mean and variance of its output
  follow from those of the patches: with `m` and `S` the patches' mean and covariance, a channel of weights `w`
  has mean `w m` and variance `w S w`. So its batch normalisation becomes other weights and biases of the
  convolution itself, and is never computed on the 86,528 positions of a batch.

Rounding is not the same, though. Mean and covariance of the patches are float32 sums over all positions, so with 128
images the first variances come out too large, by up to 2e-4 of themselves, and log-probabilities are off by up to
3e-4, where `Net.forward` is off by 1e-5. A batch in which every pixel has one value, which MNIST has not, may even
come to a variance below 0 and so to NaN.

Dropout draws where its zeros are, not whether each element is one (`fused.dropped`): the same distribution from
other numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_models.mnist.fused import dropped, pooled_batch_norm
from reference_models.mnist.model import Net


@contextmanager
def cheaper(model: nn.Module) -> Iterator[None]:
    """Let calls of `model` take the cheaper way while the context lasts, if it is a `Net`.

    Calls in evaluation mode go the way of the model itself. Hooks of the model see its calls as ever; in training those
    of its layers see none, nor is a layer that was put in another's place called. A copy of the model that is made
    meanwhile computes with the weights of the first.
    """
    if type(model) is not Net:
        yield
        return

    def forward(images: Tensor) -> Tensor:
        return _forward(model, images) if model.training else Net.forward(model, images)

    model.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del model.forward


def _forward(net: Net, images: Tensor) -> Tensor:
    """Map `(N, 1, 28, 28)` images to what `net` gives in training mode, `(N, 10)` log-probabilities."""
    x = _first(net.initial, images)
    x = _dropout(net.transition1[1], _pooled(net.block1, x))
    x = F.relu(_normalised(net.block2, x), inplace=True)
    x = _dropout(net.transition2[1], _pooled(net.block3, x))
    x = F.relu(_normalised(net.final, x), inplace=True)
    pool, flatten, dropout, linear, log_softmax = net.head
    return cast(Tensor, log_softmax(linear(_dropout(dropout, flatten(pool(x))))))


def _normalised(block: nn.Sequential, x: Tensor) -> Tensor:
    convolution, norm = _parts(block)
    x = norm(F.conv2d(x, convolution.weight))
    # Through `data`, because the backward pass holds the running mean, although in training it never reads it.
    _mean(norm).data.add_(_bias(convolution).data, alpha=_momentum(norm))
    return x


def _pooled(block: nn.Sequential, x: Tensor) -> Tensor:
    """Return ReLU of the pooled, normalised convolution."""
    convolution, norm = _parts(block)
    sign = torch.where(norm.weight.detach() < 0, -1.0, 1.0).to(x.dtype)
    x = F.conv2d(x, convolution.weight * sign.view(-1, 1, 1, 1))
    pooled, mean, variance = pooled_batch_norm(x, norm.weight * sign, norm.bias, norm.eps)
    _remember(norm, mean * sign + _bias(convolution), variance)
    return F.relu(pooled, inplace=True)


def _dropout(layer: nn.Module, x: Tensor) -> Tensor:
    return dropped(x, cast(nn.Dropout, layer).p)


def _first(block: nn.Sequential, images: Tensor) -> Tensor:
    """Return ReLU of the normalised first convolution, whose weights take the normalisation in."""
    convolution, norm = _parts(block)
    patch_mean, patch_covariance, positions = _patch_statistics(images)
    weights = convolution.weight.flatten(1)  # (10, 9)
    mean = weights @ patch_mean
    variance = ((weights @ patch_covariance) * weights).sum(dim=1)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    _remember(norm, mean + _bias(convolution), variance * (positions / (positions - 1)))
    scaled = convolution.weight * scale.view(-1, 1, 1, 1)
    return F.relu(F.conv2d(images, scaled, norm.bias - scale * mean), inplace=True)


@torch.no_grad()
def _patch_statistics(images: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return mean `(9,)`, covariance `(9, 9)` and number of the 3x3 patches of `(N, 1, H, W)` images."""
    patches = images.unfold(2, 3, 1).unfold(3, 3, 1).permute(4, 5, 0, 1, 2, 3).reshape(9, -1)
    positions = patches.shape[1]
    mean = patches.mean(dim=1)
    return mean, patches @ patches.T / positions - torch.outer(mean, mean), positions


@torch.no_grad()
def _remember(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics as the layer itself does; `variance` is the unbiased one."""
    _mean(norm).lerp_(mean, _momentum(norm))
    cast(Tensor, norm.running_var).lerp_(variance, _momentum(norm))
    cast(Tensor, norm.num_batches_tracked).add_(1)


def _parts(block: nn.Sequential) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    return cast(nn.Conv2d, block[0]), cast(nn.BatchNorm2d, block[1])


def _bias(convolution: nn.Conv2d) -> Tensor:
    return cast(Tensor, convolution.bias)


def _mean(norm: nn.BatchNorm2d) -> Tensor:
    return cast(Tensor, norm.running_mean)


def _momentum(norm: nn.BatchNorm2d) -> float:
    return cast(float, norm.momentum)
