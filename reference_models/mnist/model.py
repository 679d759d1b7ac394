"""The documented MNIST network: 13,086 parameters, eight stages, log-probabilities out.

The shape in a comment is what the line returns for one image, `(C, H, W)`; the number after it is the
line's parameters. Every convolution is 3x3, unpadded and biased. The 94 biases of the convolutions have
no effect, because the batch normalisation after each one subtracts the mean; they stay because the
documented count includes them.
"""

from torch import Tensor, nn


class Net(nn.Module):
    """Classify `(N, 1, 28, 28)` normalised digits into `(N, 10)` log-probabilities.

    `dropout` is the probability, in [0, 1], of all three dropout layers.
    """

    def __init__(self, dropout: float = 0.008) -> None:
        super().__init__()
        self.initial = nn.Sequential(
            nn.Conv2d(1, 10, kernel_size=3),  # (10, 26, 26)  100
            nn.BatchNorm2d(10),  # (10, 26, 26)  20
            nn.ReLU(),
        )
        self.block1 = nn.Sequential(
            nn.Conv2d(10, 16, kernel_size=3),  # (16, 24, 24)  1,456
            nn.BatchNorm2d(16),  # (16, 24, 24)  32
            nn.ReLU(),
        )
        self.transition1 = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout))  # (16, 12, 12)
        self.block2 = nn.Sequential(
            nn.Conv2d(16, 16, kernel_size=3),  # (16, 10, 10)  2,320
            nn.BatchNorm2d(16),  # (16, 10, 10)  32
            nn.ReLU(),
        )
        self.block3 = nn.Sequential(
            nn.Conv2d(16, 20, kernel_size=3),  # (20, 8, 8)  2,900
            nn.BatchNorm2d(20),  # (20, 8, 8)  40
            nn.ReLU(),
        )
        self.transition2 = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(dropout))  # (20, 4, 4)
        self.final = nn.Sequential(
            nn.Conv2d(20, 32, kernel_size=3),  # (32, 2, 2)  5,792
            nn.BatchNorm2d(32),  # (32, 2, 2)  64
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),  # (32, 1, 1)
            nn.Flatten(),  # (32,)
            nn.Dropout(dropout),
            nn.Linear(32, 10),  # (10,)  330
            nn.LogSoftmax(dim=1),  # (10,)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, 1, 28, 28)` images to `(N, 10)` natural logarithms of class probabilities."""
        x: Tensor = self.initial(images)  # (N, 10, 26, 26)
        x = self.transition1(self.block1(x))  # (N, 16, 12, 12)
        x = self.block3(self.block2(x))  # (N, 20, 8, 8)
        x = self.final(self.transition2(x))  # (N, 32, 2, 2)
        log_probabilities: Tensor = self.head(x)  # (N, 10)
        return log_probabilities
