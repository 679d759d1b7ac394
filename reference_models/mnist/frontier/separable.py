"""Networks of a few hundred parameters: one depthwise-separable convolution, executed four times.

Its weights count once. Each time has a batch normalisation of its own, so that the same filters see other inputs. The
last time gives the scores of the classes: there is no linear layer. The shape in a comment is what the line returns
for one image, `(C, H, W)`, where W is the width; the number after it is the line's parameters.
"""

import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10


class Separable(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities; `width` is at least 10."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, kernel_size=3, stride=2, bias=False)  # (W, 13, 13)  9 W
        self.depthwise = nn.Conv2d(width, width, kernel_size=3, groups=width, bias=False)  # 9 W
        self.pointwise = nn.Conv2d(width, width, kernel_size=1, bias=False)  # W W
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(4))  # 8 W
        self.scores = nn.BatchNorm2d(CLASSES)  # (10, 1, 1)  20

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        first, *others = self.norms
        x = F.relu(first(self.stem(images)))  # (W, 13, 13)
        for norm in others:
            x = F.relu(norm(self._convolved(x)))  # (W, 11, 11), (W, 9, 9), (W, 7, 7)
        x = self._convolved(F.max_pool2d(x, 2))  # (W, 1, 1)
        return F.log_softmax(self.scores(x[:, :CLASSES]).flatten(1), dim=1)

    def _convolved(self, x: Tensor) -> Tensor:
        convolved: Tensor = self.pointwise(self.depthwise(x))
        return convolved


def separable_380() -> Separable:
    """Return the network of 380 parameters, 10 channels wide."""
    return Separable(10)


def separable_476() -> Separable:
    """Return the network of 476 parameters, 12 channels wide."""
    return Separable(12)


def separable_635() -> Separable:
    """Return the network of 635 parameters, 15 channels wide."""
    return Separable(15)
