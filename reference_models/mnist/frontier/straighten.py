"""Bring a digit upright and into the middle by its own moments, before a network sees it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The least ink and the least height, as a variance in half-extents, to divide by: an empty image stays as it is.
_LEAST = 1e-3


class Straighten(nn.Module):
    """Shear and move each of `(N, 1, H, W)` images so that its ink stands upright around the centre.

    An image's least value counts as no ink. With the ink as weights, the centre is the mean of the pixels' positions,
    and the shear is the slope of `x` against `y`: their covariance over the variance of `y`. Nothing is learned, and
    an image is read bilinearly at its new positions. The images are square.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the straightened images, of the same shape."""
        paper = images.amin(dim=(2, 3), keepdim=True)
        ink = images - paper
        slope, x, y = _moments(ink[:, 0])
        one, zero = torch.ones_like(slope), torch.zeros_like(slope)
        # Where in the image each output position is read, in half-extents.
        maps = torch.stack((one, slope, x, zero, one, y), dim=1).view(-1, 2, 3)
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        return F.grid_sample(ink, grid, align_corners=False) + paper


def _moments(ink: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return slope, and centre as `x` and `y`, of `(N, H, W)` ink, each `(N,)`."""
    positions = _positions(ink.shape[2]).to(ink)
    shares = ink / ink.sum(dim=(1, 2), keepdim=True).clamp(min=_LEAST)
    columns, rows = shares.sum(dim=1), shares.sum(dim=2)  # (N, W), (N, H)
    x, y = columns @ positions, rows @ positions
    variance = rows @ positions.square() - y.square()
    covariance = ((shares @ positions) * positions).sum(dim=1) - x * y
    return covariance / variance.clamp(min=_LEAST), x, y


def _positions(size: int) -> Tensor:
    """Return the centres of `size` pixels in half-extents, `(size,)` between -1 and 1."""
    return (torch.arange(size) * 2 + 1) / size - 1
