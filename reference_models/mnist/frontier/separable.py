"""Networks of some hundred parameters: three depthwise-separable convolutions, of which two are executed twice.

The order is first, second, third, second, third, and the weights of each count once. Each time has a batch
normalisation of its own, so that the same filters see other inputs. The shape in a comment is what the line returns for
one image, `(C, H, W)`, and the number after it is the line's parameters; `s` is the stem's width and `w` that of the
others.

In evaluation a digit is looked at five times, where it is and a pixel up, down, left and right of it, and the five
answers are averaged. That takes no parameter, and five times the operations.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_models.mnist.frontier.straighten import Straighten


class Separable(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities.

    `stem` is the number of channels of the first convolution, and `width` that of the others.
    """

    def __init__(self, stem: int, width: int) -> None:
        super().__init__()
        self.straighten = Straighten()  # (1, 28, 28)
        self.stem = nn.Conv2d(1, stem, kernel_size=3, padding=1, bias=False)  # (s, 28, 28)  9 s
        inputs = (stem, width, width)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(each, each, kernel_size=3, groups=each, bias=False) for each in inputs
        )  # 9 s + 18 w
        self.pointwise = nn.ModuleList(
            nn.Conv2d(each, width, kernel_size=1, bias=False) for each in inputs
        )  # s w + 2 w w
        self.first_norm = nn.BatchNorm2d(stem)  # 2 s
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(5))  # 10 w
        self.head = nn.Linear(width, 10)  # (10,)  10 w + 10

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        x = self.straighten(images)
        if self.training:
            return self._answers(x)
        views = _views(x)
        answers = self._answers(torch.cat(views))  # (5 N, 10)
        answers = answers.view(len(views), len(x), answers.shape[1])
        return F.log_softmax(answers.logsumexp(dim=0), dim=1)  # the logarithms of the means of probabilities

    def _answers(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)  # (s, 14, 14)
        x = F.hardswish(self.first_norm(x))
        for norm, place in zip(self.norms, (0, 1, 2, 1, 2), strict=True):
            x = self.pointwise[place](self.depthwise[place](x))  # (w, 12, 12), (w, 10, 10) ... (w, 4, 4)
            x = F.hardswish(norm(x))
        return F.log_softmax(self.head(x.mean(dim=(2, 3))), dim=1)


def _views(x: Tensor) -> list[Tensor]:
    """Return images as they are, and moved up, down, left and right by a pixel."""
    return [x, *(x.roll(by, along) for along in (2, 3) for by in (-1, 1))]


def separable_325() -> Separable:
    """Return the network of 325 parameters: 3 and 5 channels."""
    return Separable(3, 5)


def separable_482() -> Separable:
    """Return the network of 482 parameters: 4 and 7 channels."""
    return Separable(4, 7)


def separable_688() -> Separable:
    """Return the network of 688 parameters: 6 and 9 channels."""
    return Separable(6, 9)


def separable_1042() -> Separable:
    """Return the network of 1,042 parameters: 9 and 12 channels."""
    return Separable(9, 12)


def separable_1912() -> Separable:
    """Return the network of 1,912 parameters: 15 and 18 channels."""
    return Separable(15, 18)
