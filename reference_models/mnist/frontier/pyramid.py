"""Networks of some thousand parameters: four convolutions of their own weights, and two poolings.

The first pooling comes before the normalisation, which then costs a quarter. No convolution has a bias, which the batch
normalisation after it would take out again. The shape in a comment is what the line returns for one image, `(C, H, W)`.
"""

from torch import Tensor, nn

from reference_models.mnist.frontier.straighten import Straighten


class Pyramid(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities.

    `widths` are the channels of the four convolutions.
    """

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.body = nn.Sequential(
            Straighten(),  # (1, 28, 28)
            nn.Conv2d(1, first, kernel_size=3, bias=False),  # (first, 26, 26)
            nn.MaxPool2d(2),  # (first, 13, 13)
            nn.BatchNorm2d(first),
            nn.Hardswish(),
            nn.Conv2d(first, second, kernel_size=3, bias=False),  # (second, 11, 11)
            nn.BatchNorm2d(second),
            nn.Hardswish(),
            nn.Conv2d(second, third, kernel_size=3, bias=False),  # (third, 9, 9)
            nn.BatchNorm2d(third),
            nn.Hardswish(),
            nn.MaxPool2d(2),  # (third, 4, 4)
            nn.Conv2d(third, fourth, kernel_size=3, bias=False),  # (fourth, 2, 2)
            nn.BatchNorm2d(fourth),
            nn.Hardswish(),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),  # (fourth, 1, 1)
            nn.Flatten(),  # (fourth,)
            nn.Linear(fourth, 10),  # (10,)
            nn.LogSoftmax(dim=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        log_probabilities: Tensor = self.head(self.body(images))
        return log_probabilities


def pyramid_3081() -> Pyramid:
    """Return the network of 3,081 parameters."""
    return Pyramid((7, 10, 11, 12))


def pyramid_4858() -> Pyramid:
    """Return the network of 4,858 parameters."""
    return Pyramid((8, 14, 14, 14))
