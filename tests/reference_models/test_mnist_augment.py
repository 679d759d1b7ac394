import pytest
import torch

from reference_models.mnist.augment import random_angles, rotated
from reference_models.mnist.data import MEAN, STD, normalised, scaled
from reference_models.mnist.loop import training_batch


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_angles_are_uniform_within_the_limits():
    angles = random_angles(100_000, 7.0)
    assert angles.abs().max() <= 7
    assert angles.min() < -6.99
    assert angles.max() > 6.99
    assert angles.mean() == pytest.approx(0, abs=0.05)
    assert angles.std() == pytest.approx(14 / 12**0.5, abs=0.05)


def test_a_quarter_turn_is_counter_clockwise_and_exact():
    images = torch.rand(2, 1, 28, 28)
    turned = rotated(images, torch.full((2,), 90.0))
    assert torch.allclose(turned, torch.rot90(images, 1, dims=(2, 3)), atol=1e-4)


def test_no_angle_changes_nothing():
    images = torch.rand(2, 1, 28, 28)
    assert torch.allclose(rotated(images, torch.zeros(2)), images, atol=1e-5)


def test_every_image_turns_by_its_own_angle():
    images, angles = torch.rand(5, 1, 28, 28), torch.tensor([-7.0, -1.0, 0.0, 3.0, 7.0])
    together = rotated(images, angles)
    alone = [rotated(images[i : i + 1], angles[i : i + 1]) for i in range(5)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_copies_of_one_image_come_out_different():
    images = torch.rand(1, 1, 28, 28).expand(64, -1, -1, -1)
    out = rotated(images, random_angles(64, 7.0)).flatten(1)
    assert len(out.unique(dim=0)) == 64


def test_what_turns_in_is_background(sets):
    # A white image turned by 7 degrees shows its corners: 0 before normalising, the background after it.
    corners = rotated(torch.ones(1, 1, 28, 28), torch.tensor([7.0]))[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.equal(corners, torch.zeros(4))
    images, _ = training_batch(sets[0], torch.arange(64), 7.0)
    assert torch.allclose(images[:, 0, 0, 0], torch.tensor(-MEAN / STD))
    assert images.min() == pytest.approx(-MEAN / STD)


def test_a_training_batch_differs_from_the_raw_one_image_by_image(sets):
    train = sets[0]
    images, labels = training_batch(train, torch.arange(128), 7.0)
    raw = normalised(scaled(train.images[:128]))
    assert images.shape == raw.shape
    assert torch.equal(labels, train.labels[:128])
    assert (images - raw).abs().flatten(1).amax(dim=1).min() > 0.01


def test_a_training_batch_is_still_its_digits(sets):
    train = sets[0]
    images, _ = training_batch(train, torch.arange(128), 7.0)
    raw = normalised(scaled(train.images[:128]))
    similarity = torch.cosine_similarity(images.flatten(1), raw.flatten(1))
    assert similarity.min() > 0.75
