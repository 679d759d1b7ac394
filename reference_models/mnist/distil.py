"""Learn from a trained flagship beside the labels."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from reference_models.mnist import digest
from reference_models.mnist.checkpoint import load_weights
from reference_models.mnist.data import Digits, normalised, scaled
from reference_models.mnist.errors import RunError
from reference_models.mnist.evaluate import BATCH, COMMITTED
from reference_models.mnist.model import Net
from reference_models.mnist.recipes import Distillation


@torch.no_grad()
def answers(digits: Digits, chosen: Distillation, checkpoint: Path = COMMITTED) -> Tensor:
    """Return the teacher's log-probabilities of all digits, `(N, 10)`, at the temperature of `chosen`.

    The digits are as they are, not augmented. Raises `RunError` if `checkpoint` is not the one that `chosen` names.
    """
    found = digest.of_bytes(checkpoint.read_bytes()) if checkpoint.is_file() else "no file"
    if found != chosen.teacher:
        raise RunError(
            f"`{checkpoint}` is not the recipe's teacher: expected sha256 `{chosen.teacher}`, found `{found}`; "
            "bring the committed file back"
        )
    net = Net()
    load_weights(net, checkpoint)
    net.eval().to(memory_format=torch.channels_last)
    scores = torch.cat([net(normalised(scaled(images))) for images in torch.split(digits.images, BATCH)])
    return F.log_softmax(scores / chosen.temperature, dim=1)


def divergence(log_probabilities: Tensor, answered: Tensor, temperature: float) -> Tensor:
    """Return the mean Kullback-Leibler divergence of `(N, 10)` from `answered`, which is at `temperature`, in nats.

    It is multiplied by the square of the temperature, so that its gradients keep their size.
    """
    softened = F.log_softmax(log_probabilities / temperature, dim=1)
    return F.kl_div(softened, answered, log_target=True, reduction="batchmean") * temperature**2
