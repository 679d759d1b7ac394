"""What training the flagship costs in CPU seconds, against the way its README of origin describes.

    python tests/benchmarks/training.py [--batches 100] [--rounds 3]

The usual way: `torchvision.datasets.MNIST` with PIL transforms, a `DataLoader` with two workers, recipe A over 15
epochs, the test after each. It is measured on `--batches` batches of training and as many images of testing, workers
included, and extrapolated to whole epochs; so are the flagship's own recipes, from its own loop with its validation
after every epoch. All use one thread a process, in one run, in turns, each time in a process of its own; a ratio is
the median of the rounds'.
"""

import argparse
import gzip
import multiprocessing
import resource
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import datasets, transforms

from reference_models.mnist import data
from reference_models.mnist.evaluate import score
from reference_models.mnist.loop import Training
from reference_models.mnist.model import Net
from reference_models.mnist.optimise import make_schedule
from reference_models.mnist.recipes import RECIPES, A, Recipe

BATCH = A.batch_size


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of `work`, user and system, with those of the processes that ended in it."""

    def spent() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = spent()
    work()
    return spent() - before


def apart(work: Callable[[], float]) -> float:
    """Return what `work` returns in a forked process, so that none finds the memory as another left it."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe()
    process = context.Process(target=lambda: its.send(work()))
    process.start()
    its.close()
    found: float = mine.recv()
    process.join()
    return found


@contextmanager
def torchvision_folder() -> Iterator[str]:
    """Yield a folder that `torchvision.datasets.MNIST` reads, made of the bundled files."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "MNIST", "raw")
        raw.mkdir(parents=True)
        for name in data.FILES:
            with gzip.open(data.BUNDLED / f"{name}.gz") as packed, (raw / name).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        yield folder


class UsualWay:
    """Recipe A as most tutorials write it."""

    def __init__(self, folder: str, batches: int) -> None:
        normal = [transforms.ToTensor(), transforms.Normalize((A.mean,), (A.std,))]
        turned = transforms.Compose([transforms.RandomRotation((-A.rotation_degrees, A.rotation_degrees)), *normal])
        self.images = batches * BATCH
        self.train = self._part(datasets.MNIST(folder, train=True, transform=turned))
        self.test = self._part(datasets.MNIST(folder, train=False, transform=transforms.Compose(normal)))
        self.model = Net(A.dropout)
        self.optimizer = torch.optim.Adam(  # not the fused one, which no tutorial names
            self.model.parameters(), lr=A.optimizer.learning_rate, weight_decay=A.optimizer.weight_decay
        )
        self.schedule = make_schedule(self.optimizer, A, A.epochs * (data.TRAIN_SIZE // BATCH + 1))

    def epoch(self) -> float:
        """Return the CPU seconds of a whole epoch with its test, extrapolated."""
        training = cpu_seconds(self._train) * data.TRAIN_SIZE / len(self.train)  # type: ignore[arg-type]
        testing = cpu_seconds(self._test) * data.TEST_SIZE / len(self.test)  # type: ignore[arg-type]
        return training + testing

    def _part(self, images: Dataset[tuple[Tensor, int]]) -> Dataset[tuple[Tensor, int]]:
        return Subset(images, range(min(self.images, len(images))))  # type: ignore[arg-type]

    def _train(self) -> None:
        self.model.train()
        losses, correct = 0.0, 0
        for images, labels in DataLoader(self.train, batch_size=BATCH, shuffle=True, num_workers=2):
            self.optimizer.zero_grad()
            output = self.model(images)
            loss = F.nll_loss(output, labels)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            losses += loss.item()  # the log shows loss and accuracy as they run
            correct += output.argmax(dim=1).eq(labels).sum().item()

    def _test(self) -> None:
        self.model.eval()
        with torch.no_grad():
            for images, labels in DataLoader(self.test, batch_size=BATCH, num_workers=2):
                output = self.model(images)
                F.nll_loss(output, labels, reduction="sum").item()
                output.argmax(dim=1).eq(labels).sum().item()


class OurWay:
    """A recipe of the flagship, by its own loop."""

    def __init__(self, recipe: Recipe, batches: int) -> None:
        self.recipe = recipe
        train, self.validation = data.load_train()
        self.part = train.take(torch.arange(min(len(train), batches * BATCH)))
        self.size = len(train)

    def run(self) -> float:
        """Return the CPU seconds of the whole run, extrapolated from one epoch over a part."""
        one = replace(self.recipe, epochs=1)
        model = Net(one.dropout)
        training = Training(model, one, 0, self.part, self.validation.take(torch.arange(1)))
        epoch = cpu_seconds(lambda: list(training.remaining())) * self.size / len(self.part)
        whole = sum(self.recipe.images(number, self.size) for number in range(1, self.recipe.epochs + 1)) / self.size
        return whole * epoch + self.recipe.epochs * cpu_seconds(lambda: score(model, self.validation))


def table(rounds: list[dict[str, float]]) -> Table:
    """Return a row for each way: whole-run CPU seconds, and the share of the usual way's."""
    shown = Table("way", "epochs", "CPU s an epoch", "CPU s a run", "of the usual way", box=None)
    for way in rounds[0]:
        seconds = statistics.median(each[way] for each in rounds)
        share = statistics.median(each[way] / each["usual way, A"] for each in rounds)
        epochs = RECIPES[way].epochs if way in RECIPES else A.epochs
        shown.add_row(way, str(epochs), f"{seconds / epochs:.1f}", f"{seconds:.0f}", f"{share:.3f} (1/{1 / share:.1f})")
    return shown


def main() -> None:
    """Measure in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = []
    with torchvision_folder() as folder:
        usual = UsualWay(folder, options.batches)
        ours = {name: OurWay(recipe, options.batches) for name, recipe in RECIPES.items() if name != "B"}
        for _ in range(options.rounds):
            seconds = {"usual way, A": A.epochs * apart(usual.epoch)}
            rounds.append(seconds | {name: apart(way.run) for name, way in ours.items()})
    Console().print(table(rounds))


if __name__ == "__main__":
    main()
