"""Two pairs of layers as one differentiable function each, cheaper on a CPU than the layers in turn.

Tensors are `(N, C, H, W)` on the CPU, fastest with channels last. Both functions can be differentiated once, not twice.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Above this probability a number for each element costs less than one for each dropped element.
SPARSE = 0.2

# A gap that ends beyond any tensor, and of which no sum leaves int64.
_LONGEST = 2.0**40


def pooled_batch_norm(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest of each 2x2 square of the batch-normalised `x`, with the batch's statistics.

    A maximum commutes with a function that rises, so only a quarter of the elements is normalised; `scale` and
    `shift`, `(C,)`, must therefore have no `scale` below 0, which is not looked for. The statistics are means and
    unbiased variances, `(C,)`, without gradients, of all elements: an odd last row or column is in no square, but
    counts. Raises `RuntimeError` for an empty batch and for images of less than 2x2.
    """
    pooled: tuple[Tensor, Tensor, Tensor] = _PooledBatchNorm.apply(x, scale, shift, eps)
    return pooled


def dropped(x: Tensor, probability: float) -> Tensor:
    """Return what `F.dropout` gives in training: elements zero with `probability`, the others scaled up.

    The gaps between zeros are drawn instead of a number for every element: from one success of independent trials
    to the next they have the geometric distribution. (V. Batagelj and U. Brandes, "Efficient generation of large
    random graphs", Physical Review E 71, 2005, choose edges so.) They come from torch's global generator, whatever
    the number of threads.
    """
    if not 0 < probability <= SPARSE:
        return F.dropout(x, probability)
    result: Tensor = _Dropped.apply(x, _zeros(x.numel(), probability), probability)
    return result


def _zeros(size: int, probability: float) -> Tensor:
    """Return the ascending positions, of `size`, that independent trials of `probability` choose."""
    mean = size * probability
    enough = int(mean + 6 * mean**0.5) + 6
    drawn = _gaps(enough, probability)
    while drawn[-1] < size:
        drawn = torch.cat((drawn, drawn[-1] + _gaps(enough, probability)))
    return drawn[: int(torch.searchsorted(drawn, size + 1))] - 1


def _gaps(count: int, probability: float) -> Tensor:
    return torch.empty(count, dtype=torch.float64).geometric_(probability).clamp_(max=_LONGEST).long().cumsum(0)


class _Dropped(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, zeros: Tensor, probability: float) -> Tensor:
        ctx.save_for_backward(zeros)
        ctx.probability = probability
        return _without(x, zeros, probability)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (zeros,) = ctx.saved_tensors
        return _without(gradient, zeros, ctx.probability), None, None


def _without(x: Tensor, zeros: Tensor, probability: float) -> Tensor:
    """Return `x / (1 - probability)` with zeros at those positions; they count channels last, however `x` lies."""
    rows = x.permute(0, 2, 3, 1) if x.dim() == 4 else x
    result = rows.contiguous() / (1 - probability)
    result.view(-1).index_fill_(0, zeros, 0.0)
    return result.permute(0, 3, 1, 2) if x.dim() == 4 else result


class _PooledBatchNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        elements = x.numel() // x.shape[1]
        rate = (variance + eps).rsqrt_()
        largest, indices = F.max_pool2d(x, 2, return_indices=True)
        normal = (largest - _by_channel(mean)).mul_(_by_channel(rate))
        ctx.save_for_backward(x, indices, normal, mean, rate, scale)
        statistics = mean, variance * (elements / (elements - 1))
        ctx.mark_non_differentiable(*statistics)
        return torch.addcmul(_by_channel(shift), normal, _by_channel(scale)), *statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients; that of `x` is linear in `x` but where a maximum stood.

        With rate = 1 / sqrt(variance + eps), xn = (x - mean) rate over M elements of a channel and g the gradient of
        the pooled output, 0 but at the maxima (S. Ioffe and C. Szegedy, "Batch Normalization", 2015, section 3):
        dx = scale rate (g - (sum g + xn sum(g xn)) / M), where sum g = dshift and sum(g xn) = dscale.
        """
        x, indices, normal, mean, rate, scale = ctx.saved_tensors
        by_shift = gradient.sum(dim=(0, 2, 3))
        by_scale = (gradient * normal).sum(dim=(0, 2, 3))
        factor = scale * rate
        share = factor * (x.shape[1] / x.numel())
        slope = -share * rate * by_scale
        result = _linear(x, slope, -share * by_shift - mean * slope)
        positions = _channels_last(indices).flatten(1, 2)
        at_maxima = _channels_last(gradient * _by_channel(factor)).flatten(1, 2)
        result.flatten(1, 2).scatter_add_(1, positions, at_maxima)
        return result.permute(0, 3, 1, 2), by_scale, by_shift, None


def _linear(x: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
    """Return `x * slope + offset` by channels, as a contiguous `(N, H, W, C)` tensor."""
    n, channels, height, width = x.shape
    # Whole rows, because a loop over a few channels is too short to be fast.
    rows = _channels_last(x).view(n * height, width * channels)
    return torch.addcmul(offset.repeat(width), rows, slope.repeat(width)).view(n, height, width, channels)


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _by_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
