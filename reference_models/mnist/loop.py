"""The training loop. What it does at a step depends on (seed, epoch, step) alone, not on how it got there.

So a run that was killed and resumed after its last whole epoch ends with the same bits as one that was not.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from reference_models.mnist.augment import random_angles, rotated
from reference_models.mnist.cheaper import cheaper
from reference_models.mnist.data import Digits, normalised, scaled
from reference_models.mnist.distil import answers, divergence
from reference_models.mnist.evaluate import score
from reference_models.mnist.memory import keep_freed
from reference_models.mnist.optimise import Schedule, make_optimizer, make_schedule
from reference_models.mnist.recipes import Recipe


class Epoch(TypedDict):
    """What is recorded of one epoch; accuracies and losses are means over images, in [0, 1] and nats.

    `learning_rate` is that of the epoch's last step; `loss`, from the labels alone, and `train_accuracy` are running
    values of the augmented training batches; `cpu_seconds` covers training and validation.
    """

    epoch: int
    learning_rate: float
    loss: float
    train_accuracy: float
    validation_loss: float
    validation_correct: int
    validation_total: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a run stands after a batch: `step` of `steps` in `epoch`, and the epoch's running means."""

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float


OnStep = Callable[[Step], None]


def best(rows: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the most correct validation images, the first of equals."""
    return max(rows, key=lambda row: row["validation_correct"])


def derived_seed(seed: int, *place: int | str) -> int:
    """Return a 63-bit seed for `place` in the run of `seed`, unlike that of any other place."""
    name = "/".join(str(part) for part in (seed, *place))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def training_batch(digits: Digits, indices: Tensor, rotation: float) -> tuple[Tensor, Tensor]:
    """Return `(N, 1, 28, 28)` normalised images, each rotated by its own random angle, and `(N,)` labels."""
    chosen = digits.take(indices)
    images = scaled(chosen.images)
    if rotation:
        images = rotated(images, random_angles(len(chosen), rotation))
    return normalised(images), chosen.labels


class Training:
    """A run between two epochs: the model, its optimiser and schedule, and the epochs behind it.

    `model` is trained in place, from the weights it has. The process keeps the memory that a step frees, from the
    first of these on and for good (`memory.keep_freed`).
    """

    def __init__(self, model: nn.Module, recipe: Recipe, seed: int, train: Digits, validation: Digits) -> None:
        keep_freed()
        # Channels last makes the small convolutions a quarter faster on a CPU.
        self.model: nn.Module = model.to(memory_format=torch.channels_last)
        self.recipe = recipe
        self.seed = seed
        self.train = train
        self.validation = validation
        # Of each image, in nats, when it was last trained on; only a recipe that chooses images keeps them.
        self.losses = torch.full((len(train),), torch.inf)
        # What a teacher answers to each image, `(N, 10)`; only a recipe with one asks it.
        self.answers = None if recipe.distillation is None else answers(train, recipe.distillation)
        self.optimizer = make_optimizer(model, recipe)
        steps = sum(self.steps(epoch) for epoch in range(1, recipe.epochs + 1))
        self.schedule: Schedule = make_schedule(self.optimizer, recipe, steps)
        self.rows: list[Epoch] = []

    def steps(self, epoch: int) -> int:
        """Return the number of batches of `epoch`, which counts from 1."""
        return -(-self.recipe.images(epoch, len(self.train)) // self.recipe.batch_size)

    def remaining(self, on_step: OnStep | None = None) -> Iterator[Epoch]:
        """Train and validate the epochs that are left, yielding each one's row when it is over.

        `on_step` must neither call nor copy the model, which within an epoch is under `cheaper`.
        """
        while len(self.rows) < self.recipe.epochs:
            self.rows.append(self._epoch(len(self.rows) + 1, on_step or _ignore))
            yield self.rows[-1]

    def _epoch(self, epoch: int, on_step: OnStep) -> Epoch:
        started = time.process_time()
        # Dropout draws from the global generator, which belongs to the caller between epochs.
        with torch.random.fork_rng(devices=[]), cheaper(self.model):
            last, learning_rate = self._train(epoch, on_step)
        scores = score(self.model, self.validation)
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(scores.loss)
        return Epoch(
            epoch=epoch,
            learning_rate=learning_rate,
            loss=last.loss,
            train_accuracy=last.accuracy,
            validation_loss=scores.loss,
            validation_correct=scores.correct,
            validation_total=scores.total,
            cpu_seconds=round(time.process_time() - started, 3),
        )

    def _train(self, epoch: int, on_step: OnStep) -> tuple[Step, float]:
        """Return the epoch's last step and the learning rate in force at it."""
        self.model.train()
        torch.manual_seed(derived_seed(self.seed, epoch, "order"))
        batches = torch.split(self._order(epoch), self.recipe.batch_size)
        loss, correct, seen, learning_rate = 0.0, 0, 0, 0.0
        for step, indices in enumerate(batches, start=1):
            # Not `torch.manual_seed`, which goes round all kinds of devices: a hundredth of a step here.
            torch.default_generator.manual_seed(derived_seed(self.seed, epoch, step))
            learning_rate = self.optimizer.param_groups[0]["lr"]
            batch_loss, batch_correct = self._step(indices)
            seen += len(indices)
            loss += batch_loss * len(indices)
            correct += batch_correct
            now = Step(epoch=epoch, step=step, steps=len(batches), loss=loss / seen, accuracy=correct / seen)
            on_step(now)
        return now, learning_rate

    def _order(self, epoch: int) -> Tensor:
        """Return the epoch's images, those of the largest last losses where it has not all, in random order."""
        count = self.recipe.images(epoch, len(self.train))
        order = torch.randperm(count)
        return order if count == len(self.train) else self.losses.argsort(descending=True, stable=True)[order]

    def _step(self, indices: Tensor) -> tuple[float, int]:
        """Take one optimiser step; return the batch's mean loss and its correctly classified images."""
        images, labels = training_batch(self.train, indices, self.recipe.rotation_degrees)
        log_probabilities = self.model(images)
        loss = self._loss(log_probabilities, labels, indices)
        self.optimizer.zero_grad()
        self._distilled(loss, log_probabilities, indices).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if isinstance(self.schedule, OneCycleLR):
            self.schedule.step()
        return loss.item(), int((log_probabilities.argmax(dim=1) == labels).sum())

    def _loss(self, log_probabilities: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        if self.recipe.hardest is None:
            return F.nll_loss(log_probabilities, labels)
        losses = F.nll_loss(log_probabilities, labels, reduction="none")
        self.losses[indices] = losses.detach()
        return losses.mean()

    def _distilled(self, loss: Tensor, log_probabilities: Tensor, indices: Tensor) -> Tensor:
        """Return what a step makes smaller: `loss`, and with a teacher the divergence from its answers too."""
        chosen = self.recipe.distillation
        if chosen is None or self.answers is None:
            return loss
        learned = divergence(log_probabilities, self.answers[indices], chosen.temperature)
        return torch.lerp(loss, learned, chosen.share)


def _ignore(step: Step) -> None:
    """Stand in for a display."""
