from dataclasses import replace

import pytest
import torch
from torch import nn

from reference_models.mnist import digest, recipes
from reference_models.mnist.errors import UsageError
from reference_models.mnist.model import Net
from reference_models.mnist.optimise import make_optimizer, make_schedule


def test_recipe_a_is_the_documented_one():
    settings = recipes.find("A").settings()
    assert {key: settings[key] for key in ("epochs", "batch_size", "loss", "rotation_degrees", "dropout")} == {
        "epochs": 15,
        "batch_size": 128,
        "loss": "nll",
        "rotation_degrees": 7.0,
        "dropout": 0.008,
    }
    assert settings["optimizer"]["kind"] == "adam"
    assert (settings["optimizer"]["learning_rate"], settings["optimizer"]["weight_decay"]) == (0.001, 5e-5)
    schedule = settings["schedule"]
    assert (schedule["kind"], schedule["anneal_strategy"]) == ("one_cycle", "cos")
    assert (schedule["max_learning_rate"], schedule["pct_start"]) == (0.003, 0.2)
    assert (schedule["div_factor"], schedule["final_div_factor"]) == (25, 1000)


def test_recipe_b_is_the_documented_one():
    settings = recipes.find("B").settings()
    assert (settings["epochs"], settings["batch_size"], settings["dropout"]) == (15, 128, 0.1)
    assert settings["optimizer"] == {
        "kind": "sgd",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.0,
    }
    assert settings["schedule"]["kind"] == "reduce_on_plateau"


def test_sprint_is_recipe_a_but_for_what_it_says():
    a, sprint = recipes.find("A").settings(), recipes.find("sprint").settings()
    assert (sprint["epochs"], sprint["batch_size"], sprint["schedule"]["max_learning_rate"]) == (3, 64, 0.01)
    assert (sprint["dropout"], sprint.pop("hardest")) == (0.0, 0.35)
    assert (sprint["optimizer"]["kind"], sprint["optimizer"]["others"]["kind"]) == ("muon", "adam")
    for settings in (a, sprint):
        del settings["epochs"], settings["batch_size"], settings["schedule"]["max_learning_rate"]
        del settings["dropout"], settings["optimizer"]
    assert sprint == a


def test_later_epochs_have_the_share_that_a_recipe_names():
    assert [recipes.A.images(epoch, 1000) for epoch in (1, 2)] == [1000, 1000]
    part = replace(recipes.A, hardest=0.25)
    assert [part.images(epoch, 1000) for epoch in (1, 2, 3)] == [1000, 250, 250]
    assert part.images(2, 1) == 1
    assert part.sha256() != replace(recipes.A, hardest=0.5).sha256() != recipes.A.sha256()


def test_a_schedule_keeps_the_ratio_of_the_rates():
    optimizer = make_optimizer(Net(), recipes.SPRINT)
    schedule = make_schedule(optimizer, recipes.SPRINT, steps=10)
    chosen, rates = recipes.SPRINT.optimizer, []
    for _ in range(10):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert max(rates)[0] == pytest.approx(0.01)
    ratio = chosen.learning_rate / chosen.others.learning_rate
    assert [rate[1] / rate[0] for rate in rates] == pytest.approx([ratio] * 10)


def test_what_the_documents_leave_open_is_torchs_default():
    for name in ("A", "B"):
        recipe = recipes.find(name)
        optimizer = make_optimizer(Net(), recipe)
        plain = type(optimizer)(Net().parameters(), lr=0.1, weight_decay=1.0)
        known = {"lr", "weight_decay", "momentum", "fused"}  # the last says how, not what is computed
        assert {k: v for k, v in optimizer.defaults.items() if k not in known} == {
            k: v for k, v in plain.defaults.items() if k not in known
        }
    plateau = make_schedule(make_optimizer(Net(), recipes.B), recipes.B, steps=1)
    default = torch.optim.lr_scheduler.ReduceLROnPlateau(make_optimizer(Net(), recipes.B))
    keys = ("factor", "patience", "threshold", "threshold_mode", "cooldown", "mode")
    assert [getattr(plateau, key) for key in keys] == [getattr(default, key) for key in keys]


def test_every_setting_reaches_the_optimiser():
    adam = recipes.Adam(learning_rate=0.5, weight_decay=0.25, betas=(0.7, 0.8), eps=1e-3)
    defaults = make_optimizer(Net(), replace(recipes.A, optimizer=adam)).defaults
    assert [defaults[key] for key in ("lr", "weight_decay", "betas", "eps")] == [0.5, 0.25, (0.7, 0.8), 1e-3]
    sgd = recipes.Sgd(learning_rate=0.5, momentum=0.75, weight_decay=0.25)
    defaults = make_optimizer(Net(), replace(recipes.B, optimizer=sgd)).defaults
    assert [defaults[key] for key in ("lr", "momentum", "weight_decay")] == [0.5, 0.75, 0.25]
    muon = recipes.MuonAdam(learning_rate=0.125, momentum=0.75, iterations=4, others=adam)
    optimizer = make_optimizer(Net(), replace(recipes.A, optimizer=muon))
    assert [optimizer.defaults[key] for key in ("lr", "weight_decay", "betas", "eps")] == [0.5, 0.25, (0.7, 0.8), 1e-3]
    others, convolutions = optimizer.param_groups
    assert (others["lr"], others["weight_decay"], convolutions["lr"], convolutions["weight_decay"]) == (
        0.5, 0.25, 0.125, 0.0,
    )  # fmt: skip
    assert (optimizer.momentum, optimizer.iterations) == (0.75, 4)
    assert [weight.dim() for weight in convolutions["params"]] == [4] * 5
    assert len(others["params"]) + 5 == len(list(Net().parameters()))


def test_only_the_kernels_of_convolutions_are_orthogonalised():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1, 4, 8))
            self.layers = nn.ModuleList([nn.Conv1d(2, 3, 2), nn.ConvTranspose2d(2, 3, 2), nn.Embedding(5, 4)])

    model = Mixed()
    others, convolutions = make_optimizer(model, recipes.SPRINT).param_groups
    assert [id(each) for each in convolutions["params"]] == [id(model.layers[0].weight)]
    assert len(others["params"]) == 5


def test_every_setting_reaches_the_schedule():
    plateau = recipes.Plateau(factor=0.5, patience=3, threshold=0.25)
    schedule = make_schedule(make_optimizer(Net(), recipes.B), replace(recipes.B, schedule=plateau), steps=1)
    assert (schedule.factor, schedule.patience, schedule.threshold) == (0.5, 3, 0.25)
    cycle = recipes.OneCycle(
        max_learning_rate=0.8, pct_start=0.5, anneal_strategy="linear", div_factor=4.0, final_div_factor=10.0,
        base_momentum=0.6, max_momentum=0.7,
    )  # fmt: skip
    recipe = replace(recipes.A, epochs=1, schedule=cycle)
    optimizer = make_optimizer(Net(), recipe)
    schedule = make_schedule(optimizer, recipe, steps=6)
    found = []
    for _ in range(6):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        schedule.step()
    rates, momenta = zip(*found, strict=True)  # up in steps 1 to 3, down in 4 to 6
    assert rates == pytest.approx((0.2, 0.5, 0.8, 0.54, 0.28, 0.02))
    assert momenta == pytest.approx((0.7, 0.65, 0.6, 0.6 + 0.1 / 3, 0.6 + 0.2 / 3, 0.7))


def test_the_digest_changes_with_any_setting_but_not_with_the_name():
    assert recipes.A.sha256() == digest.of_json(recipes.A.settings())
    assert recipes.A.sha256() != recipes.B.sha256()
    assert recipes.A.lasting(14).sha256() != recipes.A.sha256()
    assert recipes.A.lasting(15).sha256() == recipes.A.sha256()
    assert "name" not in recipes.A.settings()


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="`C` is not a recipe; pass one of `A`, `B`"):
        recipes.find("C")


@pytest.mark.parametrize("epochs", [0, -3])
def test_no_epochs_are_refused(epochs):
    with pytest.raises(UsageError, match=f"`--epochs {epochs}` is no training; pass 1 or more"):
        recipes.A.lasting(epochs)


@pytest.mark.parametrize("total", range(1, 12))
def test_one_cycle_runs_for_any_number_of_steps(total):
    # A rise of exactly one step, 0.2 of 5, divides by zero in torch's own class.
    optimizer = make_optimizer(Net(), recipes.A)
    schedule = make_schedule(optimizer, recipes.A.lasting(1), steps=total)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert all(0 < rate <= 0.003 for rate in rates)


def test_one_cycle_starts_peaks_and_ends_as_documented():
    optimizer = make_optimizer(Net(), recipes.A)
    schedule = make_schedule(optimizer, recipes.A, steps=15 * 391)
    rates = []
    for _ in range(15 * 391):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.003 / 25)
    assert max(rates) == pytest.approx(0.003)
    assert rates.index(max(rates)) == 3 * 391 - 1
    assert rates[-1] == pytest.approx(1.2e-7)
