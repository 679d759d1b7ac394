"""Make the optimiser and the learning-rate schedule that a recipe names."""

from typing import Any

from torch import nn, optim
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from reference_models.mnist.muon import Muon
from reference_models.mnist.recipes import Adam, OneCycle, Plateau, Recipe, Sgd, SoapAdam
from reference_models.mnist.soap import Soap

Schedule = OneCycleLR | ReduceLROnPlateau


def make_optimizer(model: nn.Module, recipe: Recipe) -> optim.Optimizer:
    """Return the optimiser of all of the model's parameters."""
    chosen = recipe.optimizer
    if isinstance(chosen, Sgd):
        return optim.SGD(
            model.parameters(),
            lr=chosen.learning_rate,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
        )
    if isinstance(chosen, Adam):
        return optim.Adam(model.parameters(), **_adam(chosen))
    if isinstance(chosen, SoapAdam):
        return Soap(
            model.parameters(),
            lr=chosen.learning_rate,
            betas=chosen.betas,
            factor_beta=chosen.factor_beta,
            every=chosen.every,
            whole=chosen.whole,
        )
    kernels = {id(layer.weight) for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)}
    return Muon(
        [each for each in model.parameters() if id(each) in kernels],
        [each for each in model.parameters() if id(each) not in kernels],
        learning_rate=chosen.learning_rate,
        momentum=chosen.momentum,
        iterations=chosen.iterations,
        **_adam(chosen.others),
    )


def _adam(chosen: Adam) -> dict[str, Any]:
    return {
        "lr": chosen.learning_rate,
        "betas": chosen.betas,
        "eps": chosen.eps,
        "weight_decay": chosen.weight_decay,
        "fused": True,  # one pass over all parameters
    }


def make_schedule(optimizer: optim.Optimizer, recipe: Recipe, steps: int) -> Schedule:
    """Return the schedule for a whole run of `steps` batches.

    One cycle keeps the ratio of the parameter groups' rates, and gives the first group its own.
    """
    chosen = recipe.schedule
    if isinstance(chosen, Plateau):
        return ReduceLROnPlateau(
            optimizer,
            factor=chosen.factor,
            patience=chosen.patience,
            threshold=chosen.threshold,
        )
    return _one_cycle(optimizer, chosen, steps)


def _one_cycle(optimizer: optim.Optimizer, cycle: OneCycle, total: int) -> OneCycleLR:
    # torch divides by the length of the rise less one step, which is zero when the rise is one step.
    if cycle.pct_start * total == 1:
        total += 1
    first = optimizer.param_groups[0]["lr"]
    return OneCycleLR(
        optimizer,
        max_lr=[cycle.max_learning_rate * (group["lr"] / first) for group in optimizer.param_groups],
        total_steps=total,
        pct_start=cycle.pct_start,
        anneal_strategy=cycle.anneal_strategy,
        div_factor=cycle.div_factor,
        final_div_factor=cycle.final_div_factor,
        base_momentum=cycle.base_momentum,
        max_momentum=cycle.max_momentum,
    )
