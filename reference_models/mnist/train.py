"""Train the documented MNIST network, or one of the frontier.

    python -m reference_models.mnist.train [--recipe A] [--seed 0] [--epochs N] [--resume] ...
    python -m reference_models.mnist.train --model NAME [--seed 0] [--resume] ...

Training and validation use the training file alone (50,000 and 10,000 images). The official test file is
opened once, after the last epoch, and decides nothing. Recipe A over its 15 epochs, seeds 0 to 9
(`record.json` has every epoch; `python -m reference_models.mnist.record` prints the line):

    Test set, last epoch: mean 99.504%, standard deviation 0.029, 99.45 to 99.54%, n = 10
"""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reference_models.mnist import record
from reference_models.mnist.command import Parser, execute
from reference_models.mnist.data import TEST_SIZE, check_limit, load_test, load_train
from reference_models.mnist.errors import UsageError
from reference_models.mnist.evaluate import Scores, score
from reference_models.mnist.frontier import NETWORKS
from reference_models.mnist.loop import Epoch, Training, best
from reference_models.mnist.model import Net
from reference_models.mnist.progress import Display
from reference_models.mnist.recipes import RECIPES, Recipe, find
from reference_models.mnist.run_folder import RunFolder


def run(
    model: nn.Module,
    *,
    seed: int,
    epochs: int | None = None,
    recipe: str = "A",
    data: Path | None = None,
    limit: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """Train `model` in place, from the weights it has, yielding one mapping (`loop.Epoch`) an epoch.

    Each mapping also says what the run is `about`: the recipe and the data, as a record names them.
    The same seed, weights and number of threads give the same bits on the same processor and torch. `limit` cuts
    training and validation for a quick try. Raises `MnistError` at once for arguments or data that no run can be
    made of.
    """
    chosen = find(recipe).lasting(epochs)
    train, validation = load_train(data, limit)
    about = record.describe(chosen, limit)
    return ({**row, "about": about} for row in Training(model, chosen, seed, train, validation).remaining())


def build(recipe: Recipe, seed: int, network: str | None = None) -> nn.Module:
    """Return a network with the first weights of `seed`: those after `torch.manual_seed(seed)`.

    `network` is the name of one of the frontier; None stands for the documented one. Raises `UsageError` for another.
    """
    if network is not None and network not in NETWORKS:
        known = ", ".join(f"`{known}`" for known in NETWORKS)
        raise UsageError(f"`{network}` is not a network of the frontier; pass one of {known}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net(recipe.dropout) if network is None else NETWORKS[network]()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says, into a run folder."""
    options = _parser().parse_args(arguments)
    recipe = find(options.recipe or ("A" if options.model is None else "frontier")).lasting(options.epochs)
    _check(options)
    torch.set_num_threads(options.threads)
    model = build(recipe, options.seed, options.model)
    header = record.header(model, recipe, options.limit)
    path = options.output or Path("runs") / f"{options.model or recipe.name}-{options.seed}"
    folder = RunFolder(path=path, identity={"seed": options.seed, **header})
    with folder.held(resume=options.resume), Display(recipe.epochs) as display:
        if folder.finished():
            display.line(f"{path} is finished; nothing to resume")
            return
        training = Training(model, recipe, options.seed, *load_train(options.data, options.limit))
        folder.restore(training)
        _introduce(training, folder, options, display)
        _train(training, folder, display)
        scores = score(model, load_test(options.data, options.limit))
        display.line(f"Test set: {scores}")
        entry = record.entry(options.seed, training.rows, scores)
        folder.finish({**header, "runs": [entry]})


def _parser() -> Parser:
    parser = Parser(prog="reference_models.mnist.train", description="Train the documented MNIST network.")
    parser.add_argument("--model", metavar="NAME", help=f"one of {', '.join(NETWORKS)}; default: the documented one")
    parser.add_argument("--recipe", help=f"one of {', '.join(RECIPES)}; default: A, or frontier with `--model`")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, order, angles, dropout; default: 0")
    parser.add_argument("--epochs", type=int, metavar="N", help="default: the recipe's own")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N images of each set, for a quick try")
    parser.add_argument("--data", type=Path, metavar="DIR", help="MNIST's files; default: the bundled ones")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: runs/RECIPE-SEED, or runs/NAME-SEED")
    parser.add_argument("--resume", action="store_true", help="go on after the last whole epoch in the folder")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch; default: 1")
    return parser


def _check(options: Namespace) -> None:
    check_limit(options.limit)
    if options.threads < 1:
        raise UsageError(f"`--threads {options.threads}` cannot compute; pass 1 or more")
    if not 0 <= options.seed < 2**63:
        raise UsageError(f"`--seed {options.seed}` is out of range; pass 0 to 2^63 - 1")


def _introduce(training: Training, folder: RunFolder, options: Namespace, display: Display) -> None:
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    display.line(f"Training set: {len(training.train)} images")
    display.line(f"Validation set: {len(training.validation)} images")
    display.line(f"Test set: {min(options.limit or TEST_SIZE, TEST_SIZE)} images")
    display.line(f"Total parameters: {parameters:,}")
    if training.rows:
        display.line(f"Resuming {folder.path} after epoch {len(training.rows)}")


def _train(training: Training, folder: RunFolder, display: Display) -> None:
    for row in training.remaining(display):
        folder.save(training)
        scores = _validation(row)
        display.line(f"Validation set: {scores}")
        if best(training.rows) is row:
            display.line(f"New best validation accuracy: {scores.correct / scores.total:.2%}")


def _validation(row: Epoch) -> Scores:
    return Scores(
        loss=row["validation_loss"],
        correct=row["validation_correct"],
        total=row["validation_total"],
    )


if __name__ == "__main__":
    sys.exit(execute(main, after_interruption="the same command with `--resume` goes on after the last whole epoch"))
