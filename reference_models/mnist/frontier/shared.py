"""Networks of some thousand parameters: one full convolution, executed four times.

Its weights count once. Each time has a batch normalisation of its own, so that the same filters see other inputs. The
shape in a comment is what the line returns for one image, `(C, H, W)`, where W is the width; the number after it is
the line's parameters.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Shared(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities; `width` is at least 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, kernel_size=3, bias=False)  # (W, 26, 26)  9 W
        self.convolution = nn.Conv2d(width, width, kernel_size=3, bias=False)  # 9 W W
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(5))  # 10 W
        self.head = nn.Linear(width, 10)  # (10,)  10 W + 10

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        first, *others = self.norms
        x = F.relu(first(F.max_pool2d(self.stem(images), 2)))  # (W, 13, 13)
        for norm in others:
            x = F.relu(norm(self.convolution(x)))  # (W, 11, 11), (W, 9, 9), (W, 7, 7), (W, 5, 5)
        scores = self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))  # (10,)
        return F.log_softmax(scores, dim=1)


def shared_1200() -> Shared:
    """Return the network of 1,200 parameters, 10 channels wide."""
    return Shared(10)


def shared_2778() -> Shared:
    """Return the network of 2,778 parameters, 16 channels wide."""
    return Shared(16)


def shared_4588() -> Shared:
    """Return the network of 4,588 parameters, 21 channels wide."""
    return Shared(21)
