"""Networks of a few hundred parameters: one depthwise-separable convolution, executed two or three times.

Its weights count once. Each time has a batch normalisation of its own, so that the same filters see other inputs. A
learned pooling, one weight for each channel and position, then keeps where in the image something was found. The shape
in a comment is what the line returns for one image, `(C, H, W)`, and the number after it is the line's parameters; `w`
is the width and `s` the side of the last map: 4 after two times, 3 after three.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Separable(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities.

    `width` is the number of channels, and `times`, from 1 to 5, how often the shared convolution is executed.
    """

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        side = (13 - 2 * times) // 2
        self.stem = nn.Conv2d(1, width, kernel_size=3, bias=False)  # (w, 26, 26)  9 w
        self.depthwise = nn.Conv2d(width, width, kernel_size=3, groups=width, bias=False)  # 9 w
        self.pointwise = nn.Conv2d(width, width, kernel_size=1, bias=False)  # w w
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(1 + times))  # 2 w each
        self.pooling = nn.Conv2d(width, width, kernel_size=side, groups=width, bias=False)  # (w, 1, 1)  s s w
        self.head = nn.Linear(width, 10)  # (10,)  10 w + 10

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        first, *others = self.norms
        x = F.relu(first(F.max_pool2d(self.stem(images), 2)))  # (w, 13, 13)
        for norm in others:
            x = F.relu(norm(self.pointwise(self.depthwise(x))))  # (w, 11, 11), (w, 9, 9), (w, 7, 7)
        x = self.pooling(F.max_pool2d(x, 2))  # (w, 1, 1)
        return F.log_softmax(self.head(x.flatten(1)), dim=1)


def separable_316() -> Separable:
    """Return the network of 316 parameters: 6 channels, three times."""
    return Separable(6, 3)


def separable_496() -> Separable:
    """Return the network of 496 parameters: 9 channels, three times."""
    return Separable(9, 3)


def separable_681() -> Separable:
    """Return the network of 681 parameters: 11 channels, two times."""
    return Separable(11, 2)
