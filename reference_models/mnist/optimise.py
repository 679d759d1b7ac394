"""Make the optimiser and the learning-rate schedule that a recipe names."""

from torch import nn, optim
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from reference_models.mnist.recipes import Adam, OneCycle, Plateau, Recipe

Schedule = OneCycleLR | ReduceLROnPlateau


def make_optimizer(model: nn.Module, recipe: Recipe) -> optim.Optimizer:
    """Return the optimiser of all of the model's parameters."""
    chosen = recipe.optimizer
    if isinstance(chosen, Adam):
        return optim.Adam(
            model.parameters(),
            lr=chosen.learning_rate,
            betas=chosen.betas,
            eps=chosen.eps,
            weight_decay=chosen.weight_decay,
            fused=True,  # one pass over all parameters
        )
    return optim.SGD(
        model.parameters(),
        lr=chosen.learning_rate,
        momentum=chosen.momentum,
        weight_decay=chosen.weight_decay,
    )


def make_schedule(optimizer: optim.Optimizer, recipe: Recipe, steps: int) -> Schedule:
    """Return the schedule for the recipe's epochs of `steps` batches each."""
    chosen = recipe.schedule
    if isinstance(chosen, Plateau):
        return ReduceLROnPlateau(
            optimizer,
            factor=chosen.factor,
            patience=chosen.patience,
            threshold=chosen.threshold,
        )
    return _one_cycle(optimizer, chosen, recipe.epochs * steps)


def _one_cycle(optimizer: optim.Optimizer, cycle: OneCycle, total: int) -> OneCycleLR:
    # torch divides by the length of the rise less one step, which is zero when the rise is one step.
    if cycle.pct_start * total == 1:
        total += 1
    return OneCycleLR(
        optimizer,
        max_lr=cycle.max_learning_rate,
        total_steps=total,
        pct_start=cycle.pct_start,
        anneal_strategy=cycle.anneal_strategy,
        div_factor=cycle.div_factor,
        final_div_factor=cycle.final_div_factor,
        base_momentum=cycle.base_momentum,
        max_momentum=cycle.max_momentum,
    )
