from dataclasses import replace

import pytest
import torch
from torch import nn

from reference_models.mnist import recipes
from reference_models.mnist.data import BUNDLED, Digits, normalised, scaled
from reference_models.mnist.loop import Training, best, derived_seed
from reference_models.mnist.model import Net
from reference_models.mnist.train import build, run


class Spy(nn.Module):
    """A network that keeps what reaches it, apart for training and evaluation."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.seen = {True: [], False: []}

    def forward(self, images):
        self.seen[self.training].append(images.clone())
        return self.net(images)


def training(sets, recipe=recipes.A, seed=0, epochs=2):
    recipe = recipe.lasting(epochs)
    return Training(build(recipe, seed), recipe, seed, *sets)


def weights(model):
    return torch.cat([tensor.flatten().double() for tensor in model.state_dict().values()])


def test_what_reaches_the_model_is_augmented_in_training_and_raw_in_validation(sets):
    spy = Spy()
    list(Training(spy, recipes.A.lasting(2), 0, *sets).remaining())

    raw = normalised(scaled(sets[0].images)).flatten(1)
    seen = torch.cat(spy.seen[True]).flatten(1)
    assert len(seen) == 2 * len(raw)
    # Nothing raw gets through, and an image comes back in the second epoch at another angle.
    distance = torch.cdist(seen, raw, compute_mode="donot_use_mm_for_euclid_dist")
    assert distance.min() > 0.01
    assert distance.amin(dim=1).median() > 3
    assert len(seen.unique(dim=0)) == len(seen)
    # Yet an epoch is the set, each image turned (a thin 1 may come nearer to another's upright one).
    assert len(distance[: len(raw)].argmin(dim=1).unique()) > 0.97 * len(raw)

    validation = normalised(scaled(sets[1].images))
    assert torch.equal(torch.cat(spy.seen[False]), validation.repeat(2, 1, 1, 1))


def test_every_epoch_has_its_own_order(sets):
    spy = Spy()
    list(Training(spy, recipes.A.lasting(2), 0, *sets).remaining())
    raw = normalised(scaled(sets[0].images)).flatten(1)
    order = torch.cdist(torch.cat(spy.seen[True]).flatten(1), raw).argmin(dim=1).split(len(raw))
    assert not torch.equal(order[0], order[1])
    assert not torch.equal(order[0], torch.arange(len(raw)))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(sets):
    runs = [training(sets, seed=seed) for seed in (0, 0, 1)]
    rows = [list(one.remaining()) for one in runs]
    for row in (*rows[0], *rows[1], *rows[2]):
        row["cpu_seconds"] = 0.0
    assert torch.equal(weights(runs[0].model), weights(runs[1].model))
    assert rows[0] == rows[1]
    assert not torch.equal(weights(runs[0].model), weights(runs[2].model))


def test_the_callers_random_numbers_neither_matter_nor_move(sets):
    torch.manual_seed(7)
    first = training(sets)
    list(first.remaining())
    state = torch.get_rng_state()
    torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    second = training(sets)
    for _ in second.remaining():
        torch.rand(3)
    assert torch.equal(weights(first.model), weights(second.model))


def test_seeds_are_derived_from_the_place_alone():
    places = [(seed, epoch, step) for seed in range(3) for epoch in range(20) for step in ("order", *range(50))]
    seeds = {derived_seed(*place) for place in places}
    assert len(seeds) == len(places)
    assert derived_seed(1, 2, 3) == derived_seed(1, 2, 3)
    assert derived_seed(1, 23) != derived_seed(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_rows_say_what_happened(sets):
    steps = []
    rows = list(training(sets).remaining(steps.append))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [(step.epoch, step.step, step.steps) for step in steps] == [(e, s, 3) for e in (1, 2) for s in (1, 2, 3)]
    for row, last in zip(rows, steps[2::3], strict=True):
        assert (row["loss"], row["train_accuracy"]) == (last.loss, last.accuracy)
        assert 0 < row["train_accuracy"] <= 1
        assert 0 <= row["validation_correct"] <= row["validation_total"] == 300
        assert row["cpu_seconds"] > 0
    assert rows[-1]["learning_rate"] == pytest.approx(1.2e-7)


def test_running_values_are_means_over_images(sets, monkeypatch):
    one = training(sets, epochs=1)
    batches = iter([(1.0, 128), (2.0, 64), (4.0, 0)])  # of 128, 128 and 44 images
    monkeypatch.setattr(one, "_step", lambda indices: next(batches))
    (row,) = one.remaining()
    assert row["loss"] == pytest.approx((128 * 1.0 + 128 * 2.0 + 44 * 4.0) / 300)
    assert row["train_accuracy"] == pytest.approx(192 / 300)


def test_the_network_learns(sets):
    one = training(sets, epochs=12)
    rows = list(one.remaining())
    assert rows[-1]["train_accuracy"] > 0.8
    assert rows[-1]["validation_correct"] > 0.7 * 300


def test_50000_images_are_391_steps():
    images = torch.zeros(1, 1, 28, 28, dtype=torch.uint8).expand(50_000, -1, -1, -1)
    digits = Digits(images=images, labels=torch.zeros(50_000, dtype=torch.long))
    assert Training(Net(), recipes.A, 0, digits, digits).steps(1) == 391


def test_later_epochs_take_the_images_of_the_largest_losses(sets, monkeypatch):
    one = training(sets, replace(recipes.A, hardest=0.5), epochs=3)
    taken = []

    def step(indices):
        taken.append(indices)
        one.losses[indices] = (indices % 7).float()  # 42 or 43 images of each value
        return 0.0, 0

    monkeypatch.setattr(one, "_step", step)
    steps = []
    list(one.remaining(steps.append))
    first, second, third = (torch.cat(taken[start:end]) for start, end in ((0, 3), (3, 5), (5, 7)))
    assert torch.equal(first.sort().values, torch.arange(300))
    assert len(second.unique()) == len(second) == 150
    assert set((second % 7).tolist()) == {3, 4, 5, 6}
    assert (second % 7 > 3).sum() == (torch.arange(300) % 7 > 3).sum()
    assert not torch.equal(second, third)
    assert [(now.step, now.steps) for now in steps[3:]] == [(1, 2), (2, 2)] * 2


def test_the_kept_losses_are_those_of_the_images(sets):
    one = training(sets, replace(recipes.A, hardest=0.5), epochs=1)
    (row,) = one.remaining()
    assert one.losses.isfinite().all()
    assert one.losses.mean().item() == pytest.approx(row["loss"], rel=1e-5)
    assert one.losses.std() > 0.1


def test_choosing_all_images_is_choosing_none(sets):
    plain, choosing = (training(sets, replace(recipes.A, hardest=share)) for share in (None, 1.0))
    losses = [[row["loss"] for row in one.remaining()] for one in (plain, choosing)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_recipe_b_lowers_the_rate_when_the_validation_loss_stays(sets):
    recipe = replace(recipes.B, schedule=recipes.Plateau(patience=0, threshold=1.0))
    rows = list(training(sets, recipe, epochs=3).remaining())
    # A relative threshold of 1 lets no epoch count as better.
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.01, 0.001, 0.0001])


def test_recipe_b_watches_the_validation_loss(sets, monkeypatch):
    one = training(sets, recipes.B, epochs=1)
    watched = []
    monkeypatch.setattr(one.schedule, "step", watched.append)
    (row,) = one.remaining()
    assert watched == [row["validation_loss"]]


def test_the_best_epoch_is_the_first_of_equals():
    rows = [{"epoch": e, "validation_correct": c} for e, c in ((1, 5), (2, 9), (3, 9), (4, 7))]
    assert best(rows)["epoch"] == 2


def test_run_trains_the_given_model_and_yields_one_mapping_an_epoch():
    model = Net()
    before = weights(model)
    rows = list(run(model, seed=0, epochs=2, limit=200))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(row["about"]["recipe"]["settings"]["epochs"] == 2 for row in rows)
    assert not torch.equal(weights(model), before)


def test_run_fails_at_once_not_at_the_first_epoch():
    for wrong in ({"epochs": 0}, {"recipe": "C"}, {"limit": 0}):
        with pytest.raises(Exception, match="pass"):
            run(Net(), seed=0, **wrong)


def test_run_needs_no_test_file(tmp_path):
    for path in BUNDLED.glob("train-*.gz"):
        (tmp_path / path.name).symlink_to(path)
    assert len(list(run(Net(), seed=0, epochs=1, limit=100, data=tmp_path))) == 1


def test_first_weights_are_those_after_the_seed():
    torch.manual_seed(3)
    assert torch.equal(weights(build(recipes.A, 3)), weights(Net()))
