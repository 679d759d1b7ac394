"""The layer that brings a digit upright and into the middle."""

import pytest
import torch

from reference_models.mnist.data import normalised, scaled
from reference_models.mnist.frontier.straighten import Straighten, _moments

straighten = Straighten()


@pytest.fixture(scope="module")
def digits(sets):
    return normalised(scaled(sets[0].images))


def ink(images):
    return (images - images.amin(dim=(2, 3), keepdim=True))[:, 0]


def test_digits_stand_upright_in_the_middle_afterwards(digits):
    before, after = (torch.stack(_moments(ink(images))) for images in (digits, straighten(digits)))
    assert after.abs().amax(dim=1).tolist() == pytest.approx([0, 0, 0], abs=0.07)  # reading bilinearly blurs a little
    assert before[0].abs().mean() > 0.2  # they leaned before
    assert before[2].abs().amax() > 0.05


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -2), (3, 2)])
def test_where_a_digit_stands_makes_no_difference(digits, down, right):
    room = digits.clone()
    room[:, :, :4], room[:, :, -4:], room[..., :4], room[..., -4:] = (digits.min(),) * 4
    moved = torch.roll(room, (down, right), (2, 3))
    torch.testing.assert_close(straighten(moved), straighten(room), atol=1e-3, rtol=0)


def test_a_slanted_letter_becomes_an_upright_one():
    upright, slanted = torch.zeros(2, 1, 1, 28, 28)
    for row in range(6, 22):
        upright[..., row, 13:15] = 1
        left = 13 + (row - 14) // 2
        slanted[..., row, left : left + 2] = 1
    columns = straighten(slanted)[0, 0].sum(dim=0)
    assert columns[12:16].sum() > 0.97 * columns.sum()
    assert slanted[0, 0].sum(dim=0)[12:16].sum() < 0.6 * columns.sum()
    torch.testing.assert_close(straighten(upright), upright, atol=0.51, rtol=0)  # half a pixel to the middle


def test_brightness_and_contrast_stay_what_they_were(digits):
    torch.testing.assert_close(straighten(3 * digits + 5), 3 * straighten(digits) + 5, atol=1e-3, rtol=0)


@pytest.mark.parametrize("value", [0.0, -0.42, 3.0])
def test_an_empty_image_stays_empty(value):
    empty = torch.full((2, 1, 28, 28), value)
    torch.testing.assert_close(straighten(empty), empty)


def test_a_single_row_of_ink_does_not_lean():
    line = torch.zeros(1, 1, 28, 28)
    line[..., 14, 8:20] = 1
    after = straighten(line)
    assert torch.isfinite(after).all()
    assert after.sum().item() == pytest.approx(12, rel=1e-4)
    assert int((after[0, 0].sum(dim=1) > 1e-3).sum()) <= 2


def test_images_do_not_depend_on_each_other(digits):
    torch.testing.assert_close(straighten(digits[:7]), torch.cat([straighten(each[None]) for each in digits[:7]]))


def test_an_image_can_have_any_size():
    images = torch.rand(3, 1, 20, 20)
    assert straighten(images).shape == images.shape
