"""Rotate every image of a batch by an angle of its own, in one tensor operation."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def random_angles(count: int, limit: float) -> Tensor:
    """Return `(count,)` angles in degrees, uniform in [-limit, limit), from torch's global generator."""
    return (torch.rand(count) * 2 - 1) * limit


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotate `(N, C, H, W)` images in [0, 1] counter-clockwise about their centres by `(N,)` degrees.

    Bilinear; what turns in from outside is 0. So rotate before normalising, while the background is 0.
    Height and width must be equal: `affine_grid` measures both in half-extents.
    """
    angles = degrees * (math.pi / 180)
    cosine, sine, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    # Rows of the inverse map: where in the source each output position is read (y points down).
    matrices = torch.stack((cosine, -sine, zero, sine, cosine, zero), dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
