"""What the contract of the frontier names: the trainer of the flagship with the recipe of the frontier."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from reference_models.mnist import record, train

RECIPE = "frontier"


def run(
    model: nn.Module, *, seed: int, epochs: int | None = None, data: Path | None = None, limit: int | None = None
) -> Iterator[Mapping[str, Any]]:
    """Train `model` in place, as `train.run` does, which also says what it yields and raises."""
    return train.run(model, seed=seed, epochs=epochs, recipe=RECIPE, data=data, limit=limit)


def describe() -> dict[str, Any]:
    """Return the `recipe` and `data` of a record as the code has them today."""
    return record.describe(RECIPE)
