"""Count what a model gets right. Run it to see the committed checkpoint on the official test file:

python -m reference_models.mnist.evaluate [CHECKPOINT] [--data DIR]
"""

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from reference_models.mnist.checkpoint import load_weights
from reference_models.mnist.command import Parser, execute
from reference_models.mnist.data import Digits, load_test, normalised, scaled
from reference_models.mnist.model import Net

COMMITTED = Path(__file__).with_name("checkpoint.safetensors")
BATCH = 250  # small enough for the activations of a batch to stay in a processor's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Mean negative log-likelihood in nats, and correctly classified of all images."""

    loss: float
    correct: int
    total: int

    def __str__(self) -> str:
        share = self.correct / self.total
        return f"Average loss: {self.loss:.4f}, Accuracy: {self.correct}/{self.total} ({share:.2%})"


def score(model: nn.Module, digits: Digits) -> Scores:
    """Measure `model`, in evaluation mode, on images as they are: normalised, never augmented.

    Every module gets back the mode it had.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return _score(model, digits)
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def _score(model: nn.Module, digits: Digits) -> Scores:
    loss, correct = 0.0, 0
    for images, labels in zip(*(torch.split(part, BATCH) for part in (digits.images, digits.labels)), strict=True):
        log_probabilities = model(normalised(scaled(images)))
        loss += F.nll_loss(log_probabilities, labels, reduction="sum").item()
        correct += int((log_probabilities.argmax(dim=1) == labels).sum())
    return Scores(loss=loss / len(digits), correct=correct, total=len(digits))


def test(model: nn.Module) -> tuple[int, int]:
    """Return how many of the official test file's 10,000 images `model` gets right, and 10,000."""
    # A copy, which lies in memory as the model lies in training: the same scores in two thirds of the time.
    scores = score(deepcopy(model).to(memory_format=torch.channels_last), load_test())
    return scores.correct, scores.total


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the test line of a checkpoint."""
    parser = Parser(prog="reference_models.mnist.evaluate", description="Evaluate a checkpoint on the test file.")
    parser.add_argument("checkpoint", type=Path, nargs="?", default=COMMITTED, help="default: the committed one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="MNIST's files; default: the bundled ones")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    options = parser.parse_args(arguments)
    model = Net()
    load_weights(model, options.checkpoint)
    sys.stdout.write(f"Test set: {score(model, load_test(options.data, options.limit))}\n")


if __name__ == "__main__":
    sys.exit(execute(main))
